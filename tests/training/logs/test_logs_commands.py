"""csmf-log, as run from a shell: describe, split, convert and its refusals."""

from __future__ import annotations

import json

import polars as pl
import pytest

from training.logs.cli import main
from training.logs.describe import describe
from training.logs.reader import read_log


def test_describe_counts_stages_funnel_and_sparsity(little):
    found = describe(little.write())

    assert [(s.stage, s.events, s.items, s.requests) for s in found.stages] == [
        ("exposure", 3, 2, 3),
        ("click", 2, 2, 2),
        ("conversion", 1, 1, 1),
    ]
    assert [s.previous_per_event for s in found.stages] == [None, 1.5, 2.0]
    assert found.first_stage_per_request == 1.0
    assert found.unexposed_per_request == pytest.approx(1 / 3)
    assert found.density == pytest.approx(3 / (2 * 3))
    assert (found.first_ts, found.last_ts) == (1000, 3000)


def test_describe_counts_items_that_come_late_or_never(little):
    little.add("items", item_id="never")
    found = describe(little.write())

    assert found.untouched_items == 1
    assert found.cold_items == 3  # i1 is never exposed, i2 only in the last request


def test_describe_shows_how_far_features_are_filled(little):
    coverage = {feature.name: feature for feature in describe(little.write()).features}

    assert coverage["hour"].present == pytest.approx(2 / 3)
    assert coverage["seen"].present == pytest.approx(2 / 3)
    assert (coverage["seen"].distinct, coverage["hour"].distinct) == (2, 2)
    assert coverage["content"].present == pytest.approx(2 / 3)
    assert coverage["age"].present == pytest.approx(1 / 2)


def test_describe_reports_what_is_irregular_in_words_and_in_json(little, capsys):
    little.add("events", request_id="r9").add(
        "events", request_id="r2", item_id="i0", clicked=False
    )
    directory = little.write()

    assert main(["describe", str(directory)]) == 0
    text = capsys.readouterr().out
    assert "1 unknown request set aside, first at row 4" in text
    assert "1 conversion without click kept, first at row 5" in text

    assert main(["describe", str(directory), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["kind"] for entry in found["report"]] == [
        "unknown_request",
        "conversion_without_click",
    ]


def test_describe_of_a_log_without_conversions_says_zero(little, capsys):
    little.set("events", converted=pl.lit(value=False))

    assert main(["describe", str(little.write())]) == 0
    assert "conversion" in capsys.readouterr().out


def test_split_writes_two_logs_that_can_be_read(little, tmp_path, capsys):
    out = tmp_path / "parts"

    assert main(["split", str(little.write()), "--out", str(out), "--test-share", "0.33"]) == 0
    assert "train: 2 requests, 3 events" in capsys.readouterr().out
    assert read_log(out / "train").requests.height == 2
    assert read_log(out / "test").requests.height == 1


@pytest.mark.parametrize("at", ["2000", "1970-01-01T00:00:02", "1970-01-01T01:00:02+01:00"])
def test_split_takes_milliseconds_and_iso_times(little, tmp_path, at):
    out = tmp_path / "parts"

    assert main(["split", str(little.write()), "--out", str(out), "--at", at]) == 0
    assert read_log(out / "test").requests["ts"].to_list() == [2000, 3000]


def test_bad_input_ends_with_one_line_and_exit_code_2(little, tmp_path, capsys):
    little.tables["events"] = little.tables["events"].drop("clicked")
    directory = little.write()
    out = str(tmp_path / "out")
    commands = [
        ["describe", str(directory)],
        ["describe", str(tmp_path / "nowhere")],
        ["split", str(directory), "--out", out],
        ["simulate", "--out", out, "--conflict", "2"],
        ["simulate", "--out", out, "--items", "3"],
        ["convert", "trivago", "--input", str(tmp_path / "none.csv"), "--out", out],
        ["convert", "beibei", "--input", "a", "b", "--out", out],
    ]
    for command in commands:
        assert main(command) == 2, command
        captured = capsys.readouterr()
        assert captured.err.startswith("error: "), command
        assert captured.err.count("\n") == 1, command
        assert captured.out == ""


def test_the_option_at_fault_is_named(tmp_path, capsys):
    main(["simulate", "--out", str(tmp_path / "o"), "--clicks-per-conversion", "0.5"])

    assert "--clicks-per-conversion 0.5" in capsys.readouterr().err


def test_an_unreadable_time_is_refused_with_an_example(little, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["split", str(little.write()), "--out", str(tmp_path / "o"), "--at", "yesterday"])
    assert ended.value.code == 2
    assert "2024-01-12T00:00:00" in capsys.readouterr().err
