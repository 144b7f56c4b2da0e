"""trivago's session log: page views, clicks and inputs, on sessions written here."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from training.datasets.trivago import convert_trivago
from training.logs.cli import main
from training.logs.errors import LogError
from training.logs.reader import Log, read_log

FIELDS = ("user_id", "session_id", "timestamp", "step", "action_type", "reference")
DETAILS = ("platform", "city", "device", "current_filters", "impressions", "prices")
DAY = 1_541_548_800  # 2018-11-07, a Wednesday


def _session(name: str, start: int, *actions: tuple[str, str | None]) -> list[dict[str, object]]:
    """Actions a minute apart; a clickout lists 10 to 13 at 40, 30, 20, 10."""
    rows = []
    for step, (action, reference) in enumerate(actions, start=1):
        clickout = action == "clickout item"
        values = (f"u-{name}", name, start + 60 * step, step, action, reference)
        details = ("FR", "Paris, France", "mobile", None, None, None)
        if clickout:
            details = (*details[:3], "Sort by Price|Pool", "10|11|12|13", "40|30|20|10")
        rows.append(dict(zip((*FIELDS, *DETAILS), (*values, *details), strict=True)))
    return rows


ROWS = [
    *_session(
        "a",
        DAY,
        ("interaction item image", "10"),
        ("search for destination", "Paris, France"),
        ("interaction item rating", "11"),
        ("interaction item image", "11"),
        ("clickout item", "12"),
        ("interaction item info", "13"),
        ("clickout item", "13"),
    ),
    *_session("b", DAY + 36_000, ("search for item", "99"), ("clickout item", "10")),
]


def _convert(tmp_path: Path, rows: list[dict[str, object]], **options: object) -> Log:
    source = tmp_path / "train.csv"
    pl.DataFrame(rows, infer_schema_length=None).write_csv(source)
    convert_trivago(source, tmp_path / "log", **options)  # type: ignore[arg-type]  # as the CLI does
    return read_log(tmp_path / "log")


def _items(log: Log, request: str, column: str) -> list[str]:
    return log.events.filter(pl.col(column), request_id=request)["item_id"].to_list()


def test_each_clickout_is_a_page_view_of_its_impressions(tmp_path):
    log = _convert(tmp_path, ROWS)

    assert log.requests["request_id"].to_list() == ["u-a.a.5", "u-a.a.7", "u-b.b.2"]
    assert _items(log, "u-a.a.5", "exposed") == ["10", "11", "12", "13"]
    assert log.events.filter(request_id="u-a.a.5")["position"].to_list() == [0, 1, 2, 3]
    assert log.requests["ts"][0] == (DAY + 300) * 1000


def test_the_clickout_converts_and_earlier_interactions_click(tmp_path):
    log = _convert(tmp_path, ROWS)

    assert _items(log, "u-a.a.5", "converted") == ["12"]
    assert _items(log, "u-a.a.5", "clicked") == ["10", "11", "12"]
    assert _items(log, "u-a.a.7", "clicked") == ["10", "11", "13"]  # a clickout is no interaction
    assert log.report.findings == ()


def test_inputs_are_known_before_the_clickout(tmp_path):
    log = _convert(tmp_path, ROWS)

    assert log.requests["session_items"].to_list() == [
        ["10", "11"],
        ["10", "11", "12", "13"],
        ["99"],
    ]
    assert log.requests["current_filters"][0].to_list() == ["Sort by Price", "Pool"]
    assert log.requests["hour"].to_list() == ["0", "0", "10"]
    assert log.requests["weekday"].unique().to_list() == ["2"]


def test_display_views_keep_clicks_and_inputs_apart(tmp_path):
    log = _convert(tmp_path, ROWS, views="display")

    assert _items(log, "u-a.a.5", "clicked") == ["11", "12"]  # 10 was touched before the search
    assert _items(log, "u-a.a.7", "clicked") == ["13"]  # since the clickout before
    assert log.requests["session_items"].to_list() == [["10"], ["10", "11", "12"], ["99"]]


def test_item_features_know_page_views_before_their_time_only(tmp_path):
    until = (DAY + 400) * 1000  # after the first clickout
    log = _convert(tmp_path, ROWS, item_features_until=until)
    items = {row["item_id"]: row for row in log.items.iter_rows(named=True)}

    assert log.spec.item_features_until == until
    assert items["10"]["log_impressions"] == pytest.approx(0.6931, abs=1e-4)
    assert items["13"]["log_popularity"] == 0.0  # its clickout comes later
    assert (items["10"]["mean_price"], items["10"]["mean_price_rank"]) == (40.0, 4.0)
    assert items["12"]["main_city"] == "Paris, France"


def test_an_item_listed_only_later_has_no_past(tmp_path):
    rows = [*ROWS]
    rows[-1] = rows[-1] | {"impressions": "10|77", "prices": "40|5"}
    log = _convert(tmp_path, rows, item_features_until=(DAY + 400) * 1000)

    [late] = log.items.filter(item_id="77").iter_rows(named=True)
    assert late["log_impressions"] is None
    assert late["main_city"] is None


def test_a_clickout_that_was_not_listed_is_kept_and_told(tmp_path, capsys):
    rows = [*ROWS]
    rows[-1] = rows[-1] | {"reference": "500"}
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(tmp_path / "t.parquet")
    command = ["convert", "trivago", "--input", str(tmp_path / "t.parquet")]

    assert main([*command, "--out", str(tmp_path / "log")]) == 0
    assert "1 page views kept without conversion" in capsys.readouterr().err
    assert read_log(tmp_path / "log").requests.height == 3


def test_clickouts_without_a_list_or_with_a_repeated_step_are_set_aside_and_told(tmp_path):
    broken = ({"impressions": None, "prices": None}, {"prices": "40|30"}, {"prices": None})
    rows = [*ROWS, ROWS[4], *(ROWS[6] | {"step": 9} | change for change in broken)]
    source = tmp_path / "train.parquet"
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(source)
    notes = convert_trivago(source, tmp_path / "log")

    assert "3 clickouts set aside: no impressions, or not as many prices" in notes
    assert "1 clickouts set aside: step repeated within the session" in notes


def test_a_price_that_is_no_number_is_missing_and_told(tmp_path):
    rows = [*ROWS]
    rows[-1] = rows[-1] | {"prices": "40|-|20|10"}
    source = tmp_path / "train.parquet"
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(source)

    assert "1 prices are no numbers and count as missing" in convert_trivago(
        source, tmp_path / "log"
    )


def test_a_missing_column_is_named(tmp_path):
    source = tmp_path / "train.csv"
    pl.DataFrame(ROWS, infer_schema_length=None).drop("prices").write_csv(source)
    with pytest.raises(LogError, match="column 'prices'"):
        convert_trivago(source, tmp_path / "log")


def test_a_value_of_the_wrong_type_is_named_with_its_row(tmp_path):
    rows = [*ROWS]
    rows[3] = rows[3] | {"step": "four"}
    source = tmp_path / "train.csv"
    pl.DataFrame(rows, strict=False, schema_overrides={"step": pl.String}).write_csv(source)
    with pytest.raises(LogError, match="column 'step', row 3: 'four'"):
        convert_trivago(source, tmp_path / "log")
