"""Items that share a vector are found, stored once, and change nothing that is promised."""

import numpy as np
import pytest
from support.release import SEGMENTS

from bundle.copies import read_copies, write_copies
from index_builder import copies as finding
from index_builder.calibrate import Target, calibrate
from index_builder.cells import fill_cells, train_centroids
from index_builder.copies import FEWEST, find_copies
from index_builder.progress import Progress
from index_builder.space import space_as_it_is
from index_builder.truth import find_truth

SHARED = (400, FEWEST, FEWEST - 1, 2)  # items per vector


@pytest.fixture(scope="module")
def items_NM():
    """2,000 items, some of which share a vector, one of them but for a bit."""
    rng = np.random.default_rng(5)
    items_NM = rng.normal(size=(2000, SEGMENTS.dim)).astype(np.float32)
    *groups, others = np.split(rng.permutation(2000), np.cumsum(SHARED))
    for group in groups:
        items_NM[group] = items_NM[group[0]]
    nearly = others[0]
    items_NM[nearly] = items_NM[group_rows(items_NM)[0][0]]
    items_NM.view(np.uint32)[nearly, 0] ^= 1
    return items_NM


def group_rows(items_NM) -> list[list[int]]:
    """Rows by vector, FEWEST of them or more, one by one."""
    rows: dict[bytes, list[int]] = {}
    for row, vector in enumerate(items_NM):
        rows.setdefault(vector.tobytes(), []).append(row)
    return [group for group in rows.values() if len(group) >= FEWEST]


def as_lists(copies) -> list[list[int]]:
    return [group.tolist() for group in np.split(copies.rows_R, copies.starts_G1[1:-1])]


def test_items_are_a_group_exactly_when_their_vectors_are_equal_and_they_are_many(items_NM):
    assert len(group_rows(items_NM)) == 2
    assert as_lists(find_copies(items_NM)) == group_rows(items_NM)


def test_blocks_do_not_part_a_group(items_NM, monkeypatch):
    monkeypatch.setattr(finding, "BLOCK", 7)
    assert as_lists(find_copies(items_NM)) == group_rows(items_NM)


def test_an_item_that_only_shares_the_hash_of_others_is_not_in_their_group(items_NM, monkeypatch):
    first = group_rows(items_NM)[0]
    others = [row for row in range(2000) if row not in first][:100]
    mixed_NM = items_NM[[first[0], *others, *first[1:]]]
    monkeypatch.setattr(finding, "_hashes", lambda items_NM: np.zeros(len(items_NM), np.uint64))
    assert as_lists(find_copies(mixed_NM)) == [[0, *range(101, 100 + len(first))]]


def test_a_catalogue_without_equal_items_has_no_copies(items_NM, tmp_path):
    assert find_copies(np.unique(items_NM, axis=0)) is None
    write_copies(tmp_path, None)
    assert not list(tmp_path.iterdir())


def test_groups_are_read_as_they_were_written(items_NM, tmp_path):
    copies = find_copies(items_NM)
    write_copies(tmp_path, copies)
    assert as_lists(read_copies(tmp_path, {"copies.npy"}, 2000)) == as_lists(copies)


def test_the_effort_map_is_that_of_an_index_that_stores_every_copy(items_NM):
    space = space_as_it_is(SEGMENTS.dim)
    centroids_CM = train_centroids(items_NM, space, seed=0)
    progress = Progress("fill", "items", 8000)
    rng = np.random.default_rng(6)
    users_BM = rng.normal(size=(60, SEGMENTS.dim)).astype(np.float32)
    shared_M = items_NM[group_rows(items_NM)[0][0]]
    users_BM[::2] += 2 * shared_M  # those copies are in half of the lists
    directions_GS = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 1.0]])
    indexes = [
        fill_cells(items_NM, space, centroids_CM, progress, copies)
        for copies in (None, find_copies(items_NM))
    ]
    truth = find_truth(users_BM, items_NM, directions_GS, SEGMENTS, 1000, progress)
    every, once = (calibrate(each, items_NM, truth, Target(0.9, 1.0)).effort for each in indexes)
    assert indexes[0].faiss_index.ntotal - indexes[1].faiss_index.ntotal == 400 + FEWEST - 2
    for point, expected in zip(once.points, every.points, strict=True):
        assert point.nprobe == expected.nprobe
        assert point.recall == pytest.approx(expected.recall, abs=1e-3)
