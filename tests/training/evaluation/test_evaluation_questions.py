"""What is asked of lists: sides in time, positives and slices, recounted from the log by hand."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from training.config import EvaluationConfig
from training.errors import ConfigError
from training.evaluation.questions import ask
from training.logs.reader import read_log
from training.logs.split import split_log, split_time

STAGES = ("exposure", "click", "conversion")


@pytest.fixture(scope="module")
def parts(log):
    whole = read_log(log)
    return split_log(whole, split_time(whole, 0.4))


@pytest.fixture(scope="module")
def sides(parts):
    return ask(*parts, EvaluationConfig(ks=[5, 10]))


def without_positives(log, column, requests):
    """The log without positives of a column in the given requests."""
    gone = pl.col("request_id").is_in(requests.implode())
    return replace(log, events=log.events.with_columns(pl.col(column) & ~gone))


def test_validation_is_the_earlier_share_and_test_the_rest(parts, sides):
    times_L = parts[1].requests["ts"].to_numpy()
    early_Q, late_Q = (times_L[side.request_rows_Q] for side in (sides.validation, sides.test))
    cut = np.sort(times_L)[round(0.33 * len(times_L))]
    assert early_Q.max() < cut <= late_Q.min()
    assert min(len(early_Q), len(late_Q)) > 10


def test_a_log_without_times_is_cut_by_request_id(parts):
    train, later = parts
    same = replace(later, requests=later.requests.sample(fraction=1, shuffle=True, seed=1))
    same = replace(same, requests=same.requests.with_columns(ts=pl.lit(7)))
    sides = ask(train, same, EvaluationConfig())
    ids = same.requests["request_id"].to_numpy()
    assert max(ids[sides.validation.request_rows_Q]) < min(ids[sides.test.request_rows_Q])


def test_without_a_validation_share_all_is_test(parts):
    sides = ask(*parts, EvaluationConfig(validation_share=0))
    assert len(sides.validation) == 0
    assert len(sides.test) == parts[1].events.filter("exposed")["request_id"].n_unique()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", ["all", "seen_items", "cold_items", "cold_users"])
def test_a_slice_holds_the_positives_that_it_says(log, stage, name):
    """Cut so early that some items are not exposed and some users not seen before."""
    whole = read_log(log)
    train, later = split_log(whole, split_time(whole, 0.95))
    shown, known = set(train.events.filter("exposed")["item_id"]), set(train.requests["user_id"])
    users = dict(later.requests.select("request_id", "user_id").iter_rows())
    column = dict(zip(STAGES, ("exposed", "clicked", "converted"), strict=True))[stage]
    wanted = {
        (request, item)
        for request, item in later.events.filter(column)["request_id", "item_id"].iter_rows()
        if name == "all"
        or (name == "seen_items" and item in shown)
        or (name == "cold_items" and item not in shown)
        or (name == "cold_users" and users[request] not in known)
    }
    asked = ask(train, later, EvaluationConfig(validation_share=0)).test
    relevant = asked.objectives[stage].relevant.only(asked.objectives[stage].slices[name])
    requests = later.requests["request_id"].to_numpy()[asked.request_rows_Q[relevant.query_P]]
    items = later.items["item_id"].to_numpy()[relevant.item_P]
    assert wanted
    assert set(zip(requests, items, strict=True)) == wanted
    counts = asked.objectives[stage].summary()["slices"][name]
    assert counts == {"requests": len({r for r, _ in wanted}), "positives": len(wanted)}


def test_queries_of_one_user_share_a_number(parts, sides):
    names_Q = parts[1].requests["user_id"].to_numpy()[sides.test.request_rows_Q]
    pairs = set(zip(names_Q, sides.test.user_Q.tolist(), strict=True))
    assert len(pairs) == len(set(names_Q)) == len(set(sides.test.user_Q.tolist()))


def test_the_limit_holds_for_each_objective_and_side(parts):
    sides = ask(*parts, EvaluationConfig(max_requests=3))
    for side in (sides.validation, sides.test):
        counts = [each.summary()["requests"] for each in side.objectives.values()]
        assert max(counts) == 3


def test_recall_per_query_averages_to_the_macro_recall(parts, sides):
    rng, items = np.random.default_rng(0), len(parts[1].items)
    ranked_QK = np.stack([rng.permutation(items)[:10] for _ in range(len(sides.test))])
    judged = sides.test.measure(ranked_QK)
    for stage in STAGES:
        recall_Q = sides.test.recall(ranked_QK, stage, 5)
        expected = judged[stage]["all"]["recall@5"]["macro"]
        assert np.nanmean(recall_Q) == pytest.approx(expected, abs=1e-6)


def test_a_stage_without_positives_is_named(parts):
    train, later = parts
    later = without_positives(later, "converted", later.requests["request_id"])
    assert ask(train, later, EvaluationConfig()).test.without(STAGES) == ["conversion"]


def test_a_test_side_without_any_positive_is_refused(parts):
    train, later = parts
    late = later.requests.sort("ts", "request_id")["request_id"].tail(40)
    for column in ("exposed", "clicked", "converted"):
        later = without_positives(later, column, late)
    with pytest.raises(ConfigError, match=r"evaluation\.validation_share"):
        ask(train, later, EvaluationConfig())
