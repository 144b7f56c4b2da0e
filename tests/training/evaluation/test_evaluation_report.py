"""The figures that a release carries: lists, the front, recommended weights."""

import json
from dataclasses import replace

import polars as pl
import pytest

from bundle.segments import Segments
from training.config import EvaluationConfig
from training.evaluation.report import evaluate
from training.evaluation.trial import reopen
from training.evaluation.vectors import TwoTowers, alone_weights
from training.logs.reader import read_log
from training.logs.split import split_log

STAGES = ["exposure", "click", "conversion"]


def read(bundle):
    return json.loads((bundle.directory / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def evaluation(released):
    return read(released)


@pytest.fixture(scope="module")
def parts(log, evaluation):
    return split_log(read_log(log), evaluation["split"]["at_ms"])


@pytest.fixture
def judge(released):
    """The released towers on any later part."""
    towers, weights = TwoTowers.of(released), released.manifest.weights

    def judge(train, later, **settings):
        return evaluate(train, later, towers, weights, EvaluationConfig(ks=[5, 10], **settings))

    return judge


def test_every_list_is_judged_on_every_slice(evaluation):
    for judged in evaluation["lists"].values():
        for stage in STAGES:
            assert judged[stage].keys() == evaluation["objectives"][stage]["slices"].keys()


def test_quality_is_reported_of_the_test_side_only(evaluation, released, log):
    test = reopen(released, log, 10).test.questions
    for stage in STAGES:
        assert evaluation["objectives"][stage] == test.objectives[stage].summary()
    assert len(test) < evaluation["split"]["test_requests"]


def test_recommended_weights_are_the_best_of_validation_and_reported_on_test(
    evaluation, released, log
):
    chosen = evaluation["recommended"]
    assert list(chosen) == ["balanced", "keep_exposure", "keep_click", "keep_conversion"]
    best = max(point["validation"]["conversion"] for point in evaluation["front"])
    kept = chosen["keep_conversion"]
    assert kept["validation"]["conversion"] >= 0.98 * best
    rivals = [p for p in evaluation["front"] if p["validation"]["conversion"] >= 0.98 * best]
    assert kept["validation"]["click"] == max(p["validation"]["click"] for p in rivals)
    assert kept["test"].keys() == kept["validation"].keys()


def test_the_front_falls_in_clicks_as_it_rises_in_conversions(evaluation):
    clicks, conversions = (
        [point["validation"][stage] for point in evaluation["front"]] for stage in STAGES[1:]
    )
    assert clicks == sorted(clicks, reverse=True)
    assert conversions == sorted(conversions)


def test_the_model_card_recommends_what_the_evaluation_does(evaluation, released):
    card = (released.directory / "MODEL_CARD.md").read_text()
    for each in evaluation["recommended"].values():
        weights = ", ".join(f"{weight:g}" for weight in each["weights"].values())
        assert f"| {each['goal']} | ⟨{weights}⟩ |" in card


def test_without_a_conversion_to_choose_by_nothing_is_recommended_and_it_is_said_why(
    parts, judge, caplog
):
    train, later = parts
    early = later.requests.sort("ts", "request_id")["request_id"].head(8)
    kept = pl.col("converted") & ~pl.col("request_id").is_in(early.implode())
    found = judge(train, replace(later, events=later.events.with_columns(converted=kept)))
    assert (found["front"], found["recommended"]) == ([], {})
    assert "no positive of conversion" in found["not_recommended"]
    assert "no positive of conversion" in caplog.text


def test_a_later_part_that_is_all_test_is_reported_whole(parts, judge):
    found = judge(*parts, validation_share=0)
    exposed = parts[1].events.filter("exposed")
    assert found["objectives"]["exposure"]["requests"] == exposed["request_id"].n_unique()
    assert found["recommended"] == {}


def test_an_objective_without_a_test_positive_has_no_figure(parts, judge):
    train, later = parts
    late = later.requests.sort("ts", "request_id")["request_id"].tail(16)
    kept = pl.col("converted") & ~pl.col("request_id").is_in(late.implode())
    found = judge(train, replace(later, events=later.events.with_columns(converted=kept)))
    assert found["recommended"]["balanced"]["test"]["conversion"] is None
    assert found["recommended"]["balanced"]["validation"]["conversion"] > 0


def test_a_bundle_of_one_segment_is_one_list_without_weights_to_choose(parts, released):
    towers = replace(TwoTowers.of(released), segments=Segments(("mix",), (16,)))
    weights = alone_weights("mix", ["mix"])
    found = evaluate(*parts, towers, weights, EvaluationConfig(ks=[5, 10]))
    assert list(found["lists"]) == ["fused"]
    assert list(found["lists"]["fused"]) == STAGES
    assert (found["front"], found["recommended"]) == ([], {})
    assert "one segment" in found["not_recommended"]
