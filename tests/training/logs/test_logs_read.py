"""What reading a log gives, and how irregular events are counted."""

from __future__ import annotations

import numpy as np
import polars as pl

from training.logs.reader import read_log


def test_a_sound_log_reads_with_nothing_to_report(little):
    log = read_log(little.write())

    assert log.report.findings == ()
    assert log.spec.stages == ("exposure", "click", "conversion")
    assert log.events.height == 4


def test_types_are_the_same_whatever_the_writer_chose(little):
    little.set("events", position=pl.col("position").cast(pl.Int8))
    little.set("items", content=pl.col("content").cast(pl.List(pl.Float32)))
    log = read_log(little.write())

    assert log.events["position"].dtype == pl.Int32
    assert log.requests["hour"].to_list() == ["1", "2", None]
    assert log.users is not None
    assert log.users["age"].dtype == pl.Float64
    assert log.items["content"].dtype == pl.Array(pl.Float32, 2)


def test_missing_feature_values_are_ordinary(little):
    log = read_log(little.write())

    assert log.items["price"].to_list() == [1.0, None, 3.0]
    assert log.items["content"][1] is None
    filled = log.items["content"].drop_nulls().to_numpy()
    np.testing.assert_allclose(filled, [[0.1, 0.2], [0.5, 0.6]], rtol=1e-6)


def test_a_users_table_is_optional_when_no_feature_needs_it(little):
    del little.tables["users"]
    del little.spec["features"]["user"][2]

    assert read_log(little.write()).users is None


def _finding(log, kind):
    [finding] = [finding for finding in log.report.findings if finding.kind == kind]
    return finding


def test_an_event_of_an_unknown_request_is_set_aside_and_counted(little):
    little.add("events", request_id="r9", item_id="i0")
    log = read_log(little.write())

    finding = _finding(log, "unknown_request")
    assert (finding.count, finding.first_row, finding.action) == (1, 4, "set aside")
    assert log.events.height == 4
    assert log.report.set_aside == 1


def test_an_event_of_an_unknown_item_is_set_aside_and_counted(little):
    little.add("events", item_id="i9").add("events", request_id="r1", item_id="i9")
    log = read_log(little.write())

    assert _finding(log, "unknown_item").count == 2
    assert "i9" not in log.events["item_id"]


def test_of_a_duplicate_event_the_first_copy_counts(little):
    little.add("events", converted=False)
    log = read_log(little.write())

    assert _finding(log, "duplicate_event").first_row == 4
    assert log.events.filter(request_id="r2")["converted"].to_list() == [True]


def test_a_conversion_without_a_click_is_kept_as_recorded_and_counted(little):
    little.add("events", item_id="i0", clicked=False)
    log = read_log(little.write())

    finding = _finding(log, "conversion_without_click")
    assert (finding.count, finding.first_row, finding.action) == (1, 4, "kept")
    assert log.events.height == 5


def test_a_click_without_an_exposure_is_kept_as_recorded_and_counted(little):
    little.add("events", item_id="i0", exposed=False)

    assert _finding(read_log(little.write()), "click_without_exposure").count == 1


def test_requests_without_events_and_users_without_a_row_are_counted(little):
    little.add("requests", request_id="r3", user_id="u9")
    log = read_log(little.write())

    assert _finding(log, "request_without_events").first_row == 3
    assert _finding(log, "request_of_unknown_user").first_row == 3
    assert log.requests.height == 4


def test_a_column_that_log_yaml_does_not_declare_is_reported(little):
    little.set("items", colour=pl.lit("red"))
    log = read_log(little.write())

    finding = _finding(log, "undeclared_column")
    assert (finding.file, finding.column) == ("items.parquet", "colour")
    assert "colour" not in log.items.columns


def test_findings_can_be_shown_and_stored(little):
    little.add("events", request_id="r9")
    report = read_log(little.write()).report

    assert "1 unknown request set aside, first at row 4" in str(report.findings[0])
    assert report.as_json()[0]["remedy"]
