"""A released bundle before the questions, recounted from the log by hand."""

import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from bundle.weights import ObjectiveWeights
from training.evaluation.trial import reopen
from training.logs.reader import read_log

PAPERS = {"exposure": 1.0, "click": 1.8, "conversion": 1.2}


@pytest.fixture(scope="module")
def evaluation(released):
    return json.loads((released.directory / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def reopened(released, log):
    return reopen(released, log, 10)


def test_the_fused_list_of_a_request_is_the_weighted_sum_over_the_whole_catalogue(
    released, log, reopened, evaluation
):
    """Recall of clicks at 10, with every score computed and every list sorted in full."""
    users_QM, items_NM = reopened.test.vectors.users_QM, reopened.test.vectors.items_NM
    scores_QN = np.zeros((len(users_QM), len(items_NM)))
    for weight, end in zip(PAPERS.values(), released.segments.ends, strict=True):
        scores_QN += weight * (users_QM[:, :end] @ items_NM[:, :end].T)
    whole = read_log(log)
    item_ids = whole.items["item_id"].to_numpy()
    later = whole.requests.filter(pl.col("ts") >= evaluation["split"]["at_ms"])
    test = later.sort("ts", "request_id")[round(0.33 * len(later)) :]
    clicked = whole.events.filter("clicked").join(test, on="request_id", how="semi")
    asked = reopened.later.requests["request_id"].to_numpy()
    queries = asked[reopened.test.questions.request_rows_Q].tolist()
    recalls = []
    for request, wanted in clicked.group_by("request_id").agg("item_id").iter_rows():
        best = set(item_ids[np.argsort(-scores_QN[queries.index(request)])[:10]])
        recalls.append(len(best & set(wanted)) / len(wanted))
    found = evaluation["lists"]["fused"]["click"]["all"]["recall@10"]["macro"]
    assert found == pytest.approx(np.mean(recalls), abs=1e-6)


def test_recall_of_many_lists_is_that_of_each_list_judged_alone(reopened):
    trial = reopened.test
    weights = ObjectiveWeights.parse(PAPERS, tuple(PAPERS))
    (recall_O,) = trial.recalls([weights], 10)
    judged = trial.judge(weights)
    expected = [judged[stage]["all"]["recall@10"]["macro"] for stage in PAPERS]
    np.testing.assert_allclose(recall_O, expected, atol=1e-6)


def test_all_requests_of_a_side_are_judged_unless_there_is_a_limit(released, log, reopened):
    assert len(reopened.test.questions) > 10
    limited = reopen(released, log, 10, max_requests=2).test
    counts = [each.summary()["requests"] for each in limited.questions.objectives.values()]
    assert max(counts) == 2


@pytest.mark.parametrize(("default_share", "asked"), [(0.0, 0), (0.5, 12)])
def test_a_release_that_was_judged_whole_is_cut_only_if_asked(
    released, log, tmp_path, evaluation, default_share, asked
):
    shutil.copytree(released.directory, tmp_path / "whole")
    whole = evaluation | {"validation_share": 0.0}
    (tmp_path / "whole" / "evaluation.json").write_text(json.dumps(whole))
    bundle = replace(released, directory=tmp_path / "whole")
    found = reopen(bundle, log, 10, default_share=default_share)
    assert len(found.validation.questions) == asked
