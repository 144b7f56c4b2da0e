"""Recall and nDCG, held against loops; the walk of weights."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluation.metrics import Relevant, ranking_metrics
from training.evaluation.trial import weight_walk


def naive(ranked, positives, k):
    """Per query: hits, number of positives, DCG, ideal DCG."""
    hits = [item in positives for item in ranked[:k]]
    dcg = sum(1 / math.log2(rank + 2) for rank, hit in enumerate(hits) if hit)
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(k, len(positives))))
    return sum(hits), len(positives), dcg, ideal


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_metrics_follow_their_definitions(seed, k):
    rng = np.random.default_rng(seed)
    ranked_QK = np.stack([rng.permutation(15)[:12] for _ in range(6)])
    marks_QN = rng.random((6, 15)) < 0.2
    marks_QN[0, 3] = True
    queries, items = np.nonzero(marks_QN)
    found = ranking_metrics(ranked_QK, Relevant(queries, items), [k])
    rows = [
        naive(ranked_QK[query].tolist(), set(np.flatnonzero(marks_QN[query])), k)
        for query in range(6)
        if marks_QN[query].any()
    ]
    hits, counts, gains, ideals = (np.array(column, float) for column in zip(*rows, strict=True))
    recall, ndcg = found[f"recall@{k}"], found[f"ndcg@{k}"]
    assert recall["macro"] == pytest.approx((hits / counts).mean(), abs=1e-6)
    assert recall["micro"] == pytest.approx(hits.sum() / counts.sum(), abs=1e-6)
    assert ndcg["macro"] == pytest.approx((gains / ideals).mean(), abs=1e-6)
    assert ndcg["micro"] == pytest.approx(gains.sum() / ideals.sum(), abs=1e-6)


def test_a_catalogue_shorter_than_the_list_is_ranked_whole():
    found = ranking_metrics(
        np.array([[1, 0]]), Relevant(np.array([0, 0]), np.array([0, 1])), [2, 100]
    )
    assert found["recall@100"]["macro"] == 1.0
    assert found["ndcg@100"]["macro"] == 1.0


def test_no_positives_give_zeros_not_a_crash():
    none = np.empty(0, np.int64)
    found = ranking_metrics(np.array([[1, 0]]), Relevant(none, none), [2])
    assert found["recall@2"] == {"macro": 0.0, "micro": 0.0}


def test_the_walk_of_weights_goes_from_each_stage_alone_to_the_next():
    walk = [weights.values for weights in weight_walk(("a", "b", "c"), 2)]
    assert walk == [(1, 0, 0), (0.5, 0.5, 0), (0, 1, 0), (0, 0.5, 0.5), (0, 0, 1)]
