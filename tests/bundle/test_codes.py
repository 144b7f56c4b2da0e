"""What codes of eight bits found is scored again."""

import faiss
import numpy as np
import pytest

from bundle.codes import REFINE, fetched, needs_rescoring, rescored
from bundle.copies import Copies


def test_ids_come_back_by_their_exact_scores_and_what_was_not_found_comes_last():
    vectors_NM = np.array([[3], [-2], [5]], np.float32)
    ids, scores = rescored(np.ones(1, np.float32), np.array([0, -1, 1, 2]), vectors_NM)
    assert ids.tolist() == [2, 0, 1, -1]
    assert scores.tolist() == [5, 3, -2, -np.inf]


def test_a_group_has_the_score_of_its_items():
    vectors_NM = np.array([[1], [7], [4], [7]], np.float32)
    copies = Copies(4, np.array([0, 2]), np.array([1, 3], np.int32))
    ids, scores = rescored(np.ones(1, np.float32), np.array([0, -1, 2, 4]), vectors_NM, copies)
    assert ids.tolist() == [4, 2, 0, -1]
    assert scores.tolist() == [7, 4, 1, -np.inf]


def test_a_list_of_any_length_is_chosen_among_more():
    assert all(k < fetched(k) <= REFINE * k + 1 for k in (1, 10, 500))


@pytest.mark.parametrize(
    ("kind", "again"), [("IVF4,SQ8", True), ("IVF4,SQfp16", False), ("Flat", False)]
)
def test_the_file_says_whether_its_codes_are_of_eight_bits(tmp_path, kind, again):
    made = faiss.index_factory(8, kind, faiss.METRIC_INNER_PRODUCT)
    faiss.write_index(made, str(tmp_path / "items.faiss"))
    read = faiss.read_index(str(tmp_path / "items.faiss"), faiss.IO_FLAG_MMAP_IFC)
    assert needs_rescoring(read) == again
