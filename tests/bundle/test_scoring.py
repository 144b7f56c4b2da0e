"""Eq. 8 and the exact oracle, held against plain arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.scoring import exact_top_k, objective_scores, scale_query, segment_scales
from bundle.segments import Segments

SEGMENTS = Segments(("exposure", "click", "conversion"), (3, 2, 4))


@pytest.fixture
def vectors() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    return (
        rng.standard_normal((5, 9)).astype(np.float32),
        rng.standard_normal((200, 9)).astype(np.float32),
    )


def test_scales_of_the_papers_weights_are_its_suffix_sums():
    assert segment_scales(np.array([1, 1.8, 1.2])).tolist() == pytest.approx([4.0, 3.0, 1.2])


def test_each_objective_reads_its_own_prefix_of_the_vector(vectors):
    users_BM, items_NM = vectors
    scores_SBK = objective_scores(users_BM, np.stack([items_NM[:7]] * 5), SEGMENTS)
    for stage, end in enumerate((3, 5, 9)):
        expected_BK = users_BM[:, :end] @ items_NM[:7, :end].T
        np.testing.assert_allclose(expected_BK, scores_SBK[stage], rtol=1e-5, atol=1e-5)


@given(st.lists(st.just(0.0) | st.floats(1e-6, 1e6), min_size=3, max_size=3).filter(any))
def test_one_inner_product_equals_the_weighted_sum_of_the_objectives(weights):
    rng = np.random.default_rng(3)
    users_BM, items_NM = (rng.standard_normal((n, 9)).astype(np.float32) for n in (4, 6))
    weights_S = np.array(weights)
    per_stage_SBK = objective_scores(users_BM, np.stack([items_NM] * 4), SEGMENTS)
    expected_BK = np.tensordot(weights_S, per_stage_SBK.astype(np.float64), axes=1)
    served_BK = scale_query(users_BM, weights_S, SEGMENTS) @ items_NM.T
    np.testing.assert_allclose(served_BK, expected_BK, rtol=1e-4, atol=1e-4 * weights_S.max())


def test_multiplying_the_weights_changes_no_list(vectors):
    users_BM, items_NM = vectors
    weights_S = np.array([1, 1.8, 1.2])
    once, _ = exact_top_k(scale_query(users_BM, weights_S, SEGMENTS), items_NM, 50)
    thrice, _ = exact_top_k(scale_query(users_BM, 3 * weights_S, SEGMENTS), items_NM, 50)
    assert once.tolist() == thrice.tolist()


@pytest.mark.parametrize("k", [1, 10, 200, 500])
def test_exact_search_agrees_with_sorting_everything(vectors, monkeypatch, k):
    users_BM, items_NM = vectors
    monkeypatch.setattr("bundle.scoring.SCAN_ROWS", 64)  # several blocks, the last one short
    scores_BN = users_BM @ items_NM.T
    expected_BK = np.argsort(-scores_BN, axis=1, kind="stable")[:, :k]
    rows_BK, scores_BK = exact_top_k(users_BM, items_NM, k)
    assert rows_BK.tolist() == expected_BK.tolist()
    np.testing.assert_allclose(scores_BK, np.take_along_axis(scores_BN, expected_BK, 1), rtol=1e-5)


def test_ties_go_to_the_lower_row_also_across_the_cut_and_across_blocks(monkeypatch):
    monkeypatch.setattr("bundle.scoring.SCAN_ROWS", 8)
    items_NM = np.ones((40, 2), np.float32)
    items_NM[30] = 2
    rows_BK, _ = exact_top_k(np.ones((1, 2), np.float32), items_NM, 5)
    assert rows_BK.tolist() == [[30, 0, 1, 2, 3]]
