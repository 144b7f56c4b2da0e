"""The figures of a bundle, recounted from the log by hand."""

import json

import numpy as np
import polars as pl
import pytest

from training.evaluation.sweep import open_judged
from training.logs.reader import read_log
from training.logs.split import split_log


@pytest.fixture(scope="module")
def evaluation(released):
    return json.loads((released.directory / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def parts(log, evaluation):
    return split_log(read_log(log), evaluation["split"]["at_ms"])


@pytest.mark.parametrize("stage", ["exposure", "click", "conversion"])
def test_coverage_is_the_share_of_positives_on_items_that_training_saw(parts, evaluation, stage):
    train, test = parts
    column = dict(zip(train.spec.stages, train.spec.stage_columns, strict=True))[stage]
    seen = set(train.events.filter("exposed")["item_id"])
    items = test.events.filter(column)["item_id"].to_list()
    expected = sum(item in seen for item in items) / len(items)
    counted = evaluation["objectives"][stage]
    assert counted["item_coverage"] == pytest.approx(expected, abs=1e-6)
    assert counted["positives"] == len(items)


def test_the_fused_list_of_a_request_is_the_weighted_sum_over_the_whole_catalogue(
    released, log, parts, evaluation
):
    """Recall of clicks at 10, with every score computed and every list sorted in full."""
    trial = open_judged(released, log, 10).trial
    _, test = parts
    scores_QN = np.zeros((len(trial.users_QM), len(trial.items_NM)))
    for weight, end in zip((1.0, 1.8, 1.2), released.segments.ends, strict=True):
        scores_QN += weight * (trial.users_QM[:, :end] @ trial.items_NM[:, :end].T)
    item_ids = test.items["item_id"].to_numpy()
    request_ids = test.requests["request_id"].to_numpy()[trial.request_rows_Q]
    clicked = test.events.filter("clicked").group_by("request_id").agg(pl.col("item_id"))
    recalls = []
    for request, wanted in clicked.iter_rows():
        (query,) = np.flatnonzero(request_ids == request)
        best = set(item_ids[np.argsort(-scores_QN[query])[:10]])
        recalls.append(len(best & set(wanted)) / len(wanted))
    found = evaluation["lists"]["fused"]["click"]["all"]["recall@10"]["macro"]
    assert found == pytest.approx(np.mean(recalls), abs=1e-6)


def test_every_list_is_judged_with_and_without_what_training_never_saw(evaluation):
    for judged in evaluation["lists"].values():
        assert judged["click"]["seen_items"].keys() == judged["click"]["all"].keys()
