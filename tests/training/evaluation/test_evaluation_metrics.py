"""Recall and nDCG, held against loops and against trec_eval."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytrec_eval import RelevanceEvaluator

from training.evaluation.metrics import Relevant, ranking_metrics, recall_per_query


def judge(ranked_QK, relevant, ks):
    return ranking_metrics(relevant.query_P, relevant.places(ranked_QK), ks)


def random_case(rng, queries=6, items=15, length=12):
    """Lists, and positives of some of the queries."""
    ranked_QK = np.stack([rng.permutation(items)[:length] for _ in range(queries)])
    marks_QN = rng.random((queries, items)) < 0.2
    marks_QN[0, 3] = True
    return ranked_QK, marks_QN, Relevant(*np.nonzero(marks_QN))


def naive(ranked, positives, k):
    """Per query: hits, number of positives, DCG, ideal DCG."""
    hits = [item in positives for item in ranked[:k]]
    dcg = sum(1 / math.log2(rank + 2) for rank, hit in enumerate(hits) if hit)
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(k, len(positives))))
    return sum(hits), len(positives), dcg, ideal


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_metrics_follow_their_definitions(seed, k):
    ranked_QK, marks_QN, relevant = random_case(np.random.default_rng(seed))
    found = judge(ranked_QK, relevant, [k])
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


def test_trec_eval_finds_the_same_recall_and_ndcg():
    ranked_QK, marks_QN, relevant = random_case(np.random.default_rng(1), 200, 300, 100)
    wanted = {
        str(query): {str(item): 1 for item in np.flatnonzero(marks_N)}
        for query, marks_N in enumerate(marks_QN)
        if marks_N.any()
    }
    lists = {
        query: {str(item): -float(rank) for rank, item in enumerate(ranked_QK[int(query)])}
        for query in wanted
    }
    theirs = RelevanceEvaluator(wanted, {"recall.10,50", "ndcg_cut.10,50"}).evaluate(lists)
    ours = judge(ranked_QK, relevant, [10, 50])
    for name, theirs_name in (("recall", "recall"), ("ndcg", "ndcg_cut")):
        for k in (10, 50):
            expected = np.mean([each[f"{theirs_name}_{k}"] for each in theirs.values()])
            assert ours[f"{name}@{k}"]["macro"] == pytest.approx(expected, abs=1e-6)


def test_a_catalogue_shorter_than_the_list_is_ranked_whole():
    found = judge(np.array([[1, 0]]), Relevant(np.array([0, 0]), np.array([0, 1])), [2, 100])
    assert found["recall@100"]["macro"] == 1.0
    assert found["ndcg@100"]["macro"] == 1.0


def test_what_a_short_list_lacks_is_not_found_at_any_length():
    found = judge(np.array([[5, 6]]), Relevant(np.array([0, 0]), np.array([6, 7])), [2, 100])
    assert found["recall@2"] == found["recall@100"] == {"macro": 0.5, "micro": 0.5}


def test_no_positives_give_zeros_not_a_crash():
    none = np.empty(0, np.int64)
    found = judge(np.array([[1, 0]]), Relevant(none, none), [2])
    assert found["recall@2"] == {"macro": 0.0, "micro": 0.0}


def test_a_query_without_a_positive_has_no_recall_of_its_own():
    recall_Q = recall_per_query(np.array([0, 0, 2]), np.array([True, False, False]), 4)
    np.testing.assert_array_equal(recall_Q, [0.5, np.nan, 0.0, np.nan])
