"""What short codes found is scored again."""

import faiss
import numpy as np
import pytest

from bundle.codes import codes_of, fetched, is_short, rescored
from bundle.copies import Copies

ONE_M = np.ones(1, np.float32)


def test_ids_come_back_by_their_exact_scores_and_what_was_not_found_comes_last():
    vectors_NM = np.array([[3], [-2], [5]], np.float32)
    ids, scores = rescored(ONE_M, np.array([0, -1, 1, 2]), vectors_NM, 4)
    assert ids.tolist() == [2, 0, 1, -1]
    assert scores.tolist() == [5, 3, -2, -np.inf]


@pytest.mark.parametrize("k", [1, 2, 3, 99, 100, 150])
def test_only_the_best_are_kept_and_in_order(k):
    vectors_NM = np.random.default_rng(k).normal(size=(100, 8)).astype(np.float32)
    query_M = vectors_NM[7] + 1
    ids, scores = rescored(query_M, np.arange(100), vectors_NM, k)
    expected = np.argsort(-(vectors_NM @ query_M))[:k]
    assert ids.tolist() == expected.tolist()
    np.testing.assert_allclose(scores, vectors_NM[expected] @ query_M, rtol=1e-5, atol=1e-6)


def test_a_group_has_the_score_of_its_items():
    vectors_NM = np.array([[1], [7], [4], [7]], np.float32)
    copies = Copies(4, np.array([0, 2]), np.array([1, 3], np.int32))
    ids, scores = rescored(ONE_M, np.array([0, -1, 2, 4]), vectors_NM, 4, copies)
    assert ids.tolist() == [4, 2, 0, -1]
    assert scores.tolist() == [7, 4, 1, -np.inf]


@pytest.mark.parametrize("k", [1, 10, 500])
def test_a_list_of_short_codes_is_chosen_among_more(k):
    assert k == fetched(k, "fp16") < min(fetched(k, "int8"), fetched(k, "int4"))
    assert [is_short(each) for each in ("float32", "fp16", "int8", "int4")] == [False] * 2 + [
        True
    ] * 2


@pytest.mark.parametrize(
    ("kind", "codes"),
    [("IVF4,PQ8x4fsr", "int4"), ("IVF4,SQ8", "int8"), ("IVF4,SQfp16", "fp16"), ("Flat", "float32")],
)
def test_the_file_says_what_its_codes_are(tmp_path, kind, codes):
    made = faiss.index_factory(8, kind, faiss.METRIC_INNER_PRODUCT)
    faiss.write_index(made, str(tmp_path / "items.faiss"))
    read = faiss.read_index(str(tmp_path / "items.faiss"), faiss.IO_FLAG_MMAP_IFC)
    assert codes_of(read) == codes
