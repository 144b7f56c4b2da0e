"""Lists without a model, and the table that holds a release against them."""

import json
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from training.cli import main
from training.evaluation.anchors import Anchors, count_past
from training.evaluation.lists import chain_lists
from training.logs.integrity import IntegrityReport
from training.logs.reader import Log
from training.logs.spec import load_spec

ITEMS = ["a", "b", "c", "d", "e"]


@pytest.fixture
def shop(log) -> Log:
    """Three page views in two cities, small enough to count by hand."""
    requests = pl.DataFrame(
        {
            "request_id": ["r1", "r2", "r3"],
            "user_id": ["u", "u", "v"],
            "ts": [1, 2, 3],
            "hour": ["rome", "rome", "oslo"],
            "recent_items": [["a"], ["a", "b"], []],
        }
    )
    rows = [  # request, item, exposed, clicked, converted
        ("r1", "a", True, True, False),
        ("r1", "b", True, True, True),
        ("r1", "c", True, False, False),
        ("r2", "b", True, True, False),
        ("r2", "d", False, False, False),
        ("r3", "d", True, True, True),
        ("r3", "c", True, False, False),
    ]
    names = ["request_id", "item_id", "exposed", "clicked", "converted"]
    events = pl.DataFrame(rows, schema=names, orient="row")
    items = pl.DataFrame({"item_id": ITEMS})
    return Log(load_spec(log), requests, events, items, None, IntegrityReport(()))


def names(rows):
    return [ITEMS[row] if row < len(ITEMS) else "-" for row in rows]


def test_popularity_counts_later_stages_and_lets_exposures_break_ties(shop):
    past = count_past(shop, "hour", "recent_items")
    assert names(past.popular) == ["b", "d", "a", "c"], "e was never exposed"


def test_no_number_of_exposures_outweighs_a_click(shop):
    shown = shop.events.filter(pl.col("item_id") == "d", ~pl.col("exposed"))
    shown = shown.with_columns(item_id=pl.lit("e"), exposed=pl.lit(value=True))
    log = replace(shop, events=pl.concat([shop.events, shown[[0] * 3_000_000]]))
    assert names(count_past(log, None, None).popular) == ["b", "d", "a", "e", "c"]


def test_an_objective_without_a_later_positive_has_no_mean(released, tmp_path, make_log):
    directory = make_log(3)
    events = pl.read_parquet(directory / "events.parquet")
    late = pl.read_parquet(directory / "requests.parquet").sort("ts")["request_id"].tail(30)
    kept = pl.col("converted") & ~pl.col("request_id").is_in(late.implode())
    events.with_columns(converted=kept).write_parquet(directory / "events.parquet")
    command = ["compare", str(released.directory), "--log", str(directory)]
    assert main([*command, "--out", str(tmp_path / "table.md")]) == 0
    rows = [line for line in (tmp_path / "table.md").read_text().splitlines() if "CSMF" in line]
    assert rows
    assert all(line.endswith("| – | – |") and "nan" not in line for line in rows)


def test_a_context_holds_what_was_exposed_under_it_and_nothing_else(shop):
    past = count_past(shop, "hour", None)
    assert names(past.by_context["rome"]) == ["b", "a", "c"], "d was there but not exposed"
    assert names(past.by_context["oslo"]) == ["d", "c"]


def test_items_go_together_when_one_page_view_touched_both(shop):
    past = count_past(shop, None, "recent_items")
    assert names(past.beside(["a"])) == ["b"]
    assert names(past.beside(["c"])) == []


def test_recent_items_come_newest_first_and_unknown_ones_are_left_out(shop):
    past = count_past(shop, None, "recent_items")
    assert names(past.recent(["a", "gone", "c"])) == ["c", "a"]
    assert past.recent(None) == []


def test_each_list_of_a_chain_fills_what_the_one_before_leaves_empty():
    assert chain_lists([[3, 1], [1, 2], [0]], length=3, absent=9) == [3, 1, 2]
    assert chain_lists([[3], []], length=3, absent=9) == [3, 9, 9]


def test_every_anchor_is_a_list_of_the_length_asked_for(shop):
    past = count_past(shop, "hour", "recent_items")
    requests = pl.DataFrame({"hour": ["oslo", "elsewhere"], "recent_items": [["a"], None]})
    lists = Anchors.of(past, requests, "hour", "recent_items", 4).lists(2)
    assert {name: [names(row) for row in ranked] for name, ranked in lists.items()} == {
        "popularity": [["b", "d", "a", "c"]] * 2,
        "popularity within context": [["d", "c", "b", "a"], ["b", "d", "a", "c"]],
        "recent, then popularity": [["a", "d", "c", "b"], ["b", "d", "a", "c"]],
        "co-occurrence, then popularity": [["b", "d", "c", "a"], ["b", "d", "a", "c"]],
        "recent, then co-occurrence, then popularity": [
            ["a", "b", "d", "c"],
            ["b", "d", "a", "c"],
        ],
    }


@pytest.fixture(scope="module")
def table(released, log, tmp_path_factory) -> str:
    out = tmp_path_factory.mktemp("compare") / "table.md"
    command = ["compare", str(released.directory), "--log", str(log), "--out", str(out)]
    assert main([*command, "--context", "hour", "--recent", "recent_items", "--k", "10"]) == 0
    return out.read_text()


def test_the_table_has_a_row_per_list_and_recall_between_zero_and_one(table):
    rows = {line.split("|")[1].strip(): line for line in table.splitlines() if line[:1] == "|"}
    assert {"popularity", "CSMF, fused", "CSMF, fused, within context"} <= set(rows)
    recalls = [float(x) for line in rows.values() for x in re.findall(r"(\d\.\d+) ±", line)]
    assert len(recalls) == 6 * (5 + 4 + 4 + 1), "anchors, scores, filtered scores, recent first"
    assert all(0 <= recall <= 1 for recall in recalls)


def test_the_unfiltered_rows_are_those_of_the_releases_own_evaluation(table, released):

    evaluation = json.loads((released.directory / "evaluation.json").read_text())
    expected = evaluation["lists"]["fused"]["click"]["all"]["recall@10"]["macro"]
    row = next(line for line in table.splitlines() if line.startswith("| CSMF, fused |"))
    assert float(re.findall(r"(\d\.\d+) ±", row)[2]) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--context", "recent_items"), ("--context", "nope"), ("--recent", "hour")],
)
def test_a_feature_of_the_wrong_kind_is_refused_by_name(released, log, capsys, option, value):
    command = ["compare", str(released.directory), "--log", str(log), "--out", "unused.md"]
    assert main([*command, option, value]) == 2
    assert f"{option}: expected a" in capsys.readouterr().err


def test_an_empty_place_in_a_list_is_never_a_hit(shop):
    past = count_past(shop, "hour", None)
    requests = pl.DataFrame({"hour": ["oslo"]})
    ranked = Anchors.of(past, requests, "hour", None, 10).lists(1)["popularity within context"]
    assert np.count_nonzero(ranked == len(ITEMS)) == 6
