"""Splitting by time, and writing what was split."""

from __future__ import annotations

import pytest

from training.logs.errors import LogError
from training.logs.reader import read_log
from training.logs.split import split_log, split_time
from training.logs.writer import LogWriter, write_log


def test_requests_go_to_one_side_whole_with_their_events(little):
    train, test = split_log(read_log(little.write()), at_ms=3000)

    assert train.requests["request_id"].to_list() == ["r0", "r1"]
    assert test.requests["request_id"].to_list() == ["r2"]
    assert train.events["request_id"].unique().sort().to_list() == ["r0", "r1"]
    assert test.events["request_id"].to_list() == ["r2"]


def test_both_sides_keep_the_whole_catalogue(little):
    train, test = split_log(read_log(little.write()), at_ms=3000)

    assert train.items.height == test.items.height == 3


def test_the_split_time_leaves_the_share_asked_for(little):
    log = read_log(little.write())

    assert split_time(log, 1 / 3) == 3000
    assert split_time(log, 0.6) == 2000
    assert split_time(log, 1e-17) == 3000, "the latest request at least"


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_outside_zero_and_one_is_refused(little, share):
    log = read_log(little.write())
    with pytest.raises(ValueError, match="between 0 and 1"):
        split_time(log, share)


def test_a_log_with_its_own_split_is_split_there_once(little):
    little.spec["test_from"] = 2000
    log = read_log(little.write())
    _, test = split_log(log, split_time(log, 0.2))

    assert test.requests.height == 2
    assert split_time(test, 0.5) == 3000


def test_a_split_before_item_features_end_is_refused(little):
    little.spec["item_features_until"] = 2500
    log = read_log(little.write())

    with pytest.raises(LogError, match="item_features_until"):
        split_log(log, 2000)
    assert split_log(log, 2500)[1].requests.height == 1


@pytest.mark.parametrize("at_ms", [1000, 3001])
def test_a_split_with_an_empty_side_is_refused(little, at_ms):
    log = read_log(little.write())
    with pytest.raises(LogError, match="1000 to 3000"):
        split_log(log, at_ms)


def test_a_written_log_reads_back_the_same(little, tmp_path):
    log = read_log(little.write())
    write_log(log, tmp_path / "copy")
    copy = read_log(tmp_path / "copy")

    assert copy.spec == log.spec
    for table in ("requests", "events", "items", "users"):
        assert getattr(copy, table).equals(getattr(log, table)), table


def test_a_log_that_exists_is_never_overwritten(little):
    directory = little.write()
    log = read_log(directory)
    with pytest.raises(LogError, match="exists already"):
        write_log(log, directory)


def test_nothing_appears_when_writing_fails(little, tmp_path):
    log = read_log(little.write())
    out = tmp_path / "out" / "log"

    def write_two_shapes() -> None:
        with LogWriter(out, log.spec) as writer:
            writer.append("items", log.items)
            writer.append("items", log.items.drop("price"))

    with pytest.raises(ValueError, match="schema"):
        write_two_shapes()
    assert list(out.parent.iterdir()) == []
