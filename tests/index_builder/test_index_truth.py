"""The lists of one pass under many weightings are those of an exact scan under each."""

import numpy as np
import pytest

from bundle.scoring import exact_top_k, scale_query
from bundle.segments import Segments
from index_builder import truth
from index_builder.grid import weight_directions
from index_builder.progress import Progress

SEGMENTS = Segments(("exposure", "click", "conversion"), (6, 5, 5))
WEIGHTS_GS = np.concatenate([weight_directions(3), [[100, 1, 0.01]]])


def lists(users_BM, items_NM, k):
    return truth.exact_lists(
        users_BM, items_NM, WEIGHTS_GS, SEGMENTS, k, Progress("scan", "items", len(items_NM))
    )


@pytest.mark.parametrize("items", [900, 30])
def test_every_weighting_gets_the_scores_of_an_exact_scan(monkeypatch, items):
    monkeypatch.setattr(truth, "BLOCK", 64)  # many blocks, and a last one that is not full
    rng = np.random.default_rng(0)
    items_NM = rng.normal(size=(items, 16)).astype(np.float32)
    users_BM = rng.normal(size=(5, 16)).astype(np.float32)
    rows_BGK, scores_BGK = lists(users_BM, items_NM, 40)
    for place, weights_S in enumerate(WEIGHTS_GS):
        queries_BM = scale_query(users_BM, weights_S, SEGMENTS)
        _, expected_BK = exact_top_k(queries_BM, items_NM, 40)
        assert scores_BGK[:, place] == pytest.approx(expected_BK, rel=1e-5, abs=1e-5)
        own_BK = np.einsum("bkm,bm->bk", items_NM[rows_BGK[:, place]], queries_BM)
        assert own_BK == pytest.approx(expected_BK, rel=1e-5, abs=1e-5)


def test_no_item_is_twice_in_a_list_of_equal_scores(monkeypatch):
    monkeypatch.setattr(truth, "BLOCK", 64)
    items_NM = np.ones((500, 16), np.float32)
    rows_BGK, _ = lists(np.ones((2, 16), np.float32), items_NM, 100)
    assert all(len(set(rows_K)) == 100 for rows_GK in rows_BGK for rows_K in rows_GK)
