"""Items that an inverted file holds as one come back each by itself, as if it held them all."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.release import make_release

from bundle.delta import positions, read_delta
from bundle.effort import EffortMap
from bundle.errors import DimensionMismatchError
from bundle.scoring import exact_top_k
from bundle.store import read_current, read_pair
from index_builder.cli import main
from service.retrieval.filters import Condition
from service.retrieval.fresh import with_delta
from service.retrieval.index import open_index
from service.retrieval.passing import Passing
from service.snapshots.releases import load_snapshot

EVEN = np.ones(3)
NOTHING = np.empty(0, np.int64)
ITEMS, FIRST, SECOND = 3000, slice(2900, 3000), slice(2850, 2900)  # nobody knows these


@pytest.fixture(scope="module", params=["fp16", "int8", "int4"])
def made(tmp_path_factory, request):
    """A published index of which two groups of items share a vector, sold by different sellers."""
    made = make_release(tmp_path_factory.mktemp("copies"), items=ITEMS, users=60, requests=90)
    items = pq.read_table(made.log / "items.parquet").sort_by("item_id").to_pylist()
    for group in (FIRST, SECOND):
        known = {name: items[group.start][name] for name in ("brand", "price", "content")}
        for item in items[group]:
            item.update(known)
    for row, item in enumerate(items):
        item["seller"] = f"seller {row % 3}"
    pq.write_table(pa.Table.from_pylist(items), made.log / "items.parquet")
    options = ("--exact-below", "100", "--max-effort", "1", "--attributes", "seller")
    options = (*options, "--codes", request.param)
    where = ("--release", str(made.directory), "--log", str(made.log))
    assert main([*where, "--publish", *options]) == 0
    return made


def visiting_all(index):
    """The index, asked to visit every cell: its lists are exact but for the rounding of codes."""
    effort = index.effort.model_dump()
    for point in effort["points"]:
        point["nprobe"] = [effort["cells"]] * len(effort["k"])
    return replace(index, effort=EffortMap.model_validate(effort))


@pytest.fixture(scope="module")
def index(made):
    files = read_pair(made.releases, read_current(made.releases))[1]
    assert [size.tolist() for size in files.copies.sizes_G] == [50, 100]
    return visiting_all(open_index(files))


@pytest.fixture(scope="module")
def queries_BM(made, index):
    """Users for whom a group is best, or somewhere in the list."""
    users_CM = read_pair(made.releases, read_current(made.releases))[1].calibration_users_CM
    groups = [index.vectors_NM[group.start] for group in (FIRST, SECOND)]
    mixed = [group + user_M for group in groups for user_M in users_CM[:3]]
    return np.array([*groups, *mixed, sum(groups)], np.float32)


def expect_the_best(found, query_M, vectors_NM, rows, k):
    """The list holds distinct rows among those given, with the scores of the exact list."""
    exact_1K = exact_top_k(query_M[None], vectors_NM[rows], min(k, len(rows)))[1]
    assert len(set(found.rows_K.tolist())) == len(found.rows_K) == len(exact_1K[0])
    assert np.isin(found.rows_K, rows).all()
    rounding = 2e-3 * np.abs(exact_1K).max()
    np.testing.assert_allclose(found.scores_K, exact_1K[0], atol=rounding)
    np.testing.assert_allclose(vectors_NM[found.rows_K] @ query_M, found.scores_K, atol=rounding)


@pytest.mark.parametrize("k", [1, 49, 50, 51, 120, 500, ITEMS, 2 * ITEMS])
def test_a_list_holds_all_copies_each_once_as_far_as_it_reaches(index, queries_BM, k):
    for query_M in queries_BM:
        found = index.search(query_M, EVEN, k, NOTHING)
        expect_the_best(found, query_M, index.vectors_NM, np.arange(ITEMS), k)


@pytest.mark.parametrize("seed", range(4))
def test_copies_that_are_excluded_stay_away_and_the_others_come(index, queries_BM, seed):
    rng = np.random.default_rng(seed)
    unknown = np.arange(SECOND.start, FIRST.stop)
    excluded_X = np.sort(rng.choice(unknown, 40 * (seed + 1) - 20, replace=False))
    rest = np.setdiff1d(np.arange(ITEMS), excluded_X)
    for query_M in queries_BM:
        for k in (10, 60, 200):
            found = index.search(query_M, EVEN, k, excluded_X)
            expect_the_best(found, query_M, index.vectors_NM, rest, k)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.01])
@pytest.mark.parametrize("scanned", [True, False])
def test_of_the_copies_a_filter_passes_some(index, queries_BM, share, scanned):
    rng = np.random.default_rng(7)
    passes_N = rng.random(ITEMS) < share
    passes_N[[SECOND.start, FIRST.start]] = False, True  # a group's first row, or not
    passing = Passing.of(passes_N, index.cells)
    passing = passing if scanned else replace(passing, rows_P=None)
    excluded_X = rng.choice(ITEMS, 100, replace=False)
    rest = np.setdiff1d(np.flatnonzero(passes_N), excluded_X)
    for query_M in queries_BM:
        for k in (10, 60, ITEMS):
            found = index.search(query_M, EVEN, k, excluded_X, passing)
            expect_the_best(found, query_M, index.vectors_NM, rest, k)


def test_groups_of_which_nothing_passes_take_no_place_in_a_list(index, queries_BM):
    passes_N = np.ones(ITEMS, bool)
    passes_N[FIRST] = passes_N[SECOND] = False
    passing = Passing.of(passes_N, index.cells)
    found = index.search(queries_BM[0], EVEN, ITEMS, NOTHING, passing)
    expect_the_best(found, queries_BM[0], index.vectors_NM, np.flatnonzero(passes_N), ITEMS)


def test_a_filter_by_an_attribute_parts_the_copies(index, queries_BM):
    passing = index.passing([Condition("seller", equals="seller 1")])
    rows = np.arange(1, ITEMS, 3)
    for query_M in queries_BM:
        found = index.search(query_M, EVEN, 80, NOTHING, passing)
        expect_the_best(found, query_M, index.vectors_NM, rows, 80)


def test_every_copy_counts_in_its_cell(index):
    cells = index.cells
    assert cells.sizes_C.sum() == ITEMS
    for group in (FIRST, SECOND):
        assert len(set(cells.of_rows_N[group].tolist())) == 1
    assert np.array_equal(np.bincount(cells.of_rows_N), cells.sizes_C)


def test_copies_that_a_delta_hides_or_changes_are_gone_from_their_group(made, queries_BM):
    items = pq.read_table(made.log / "items.parquet").sort_by("item_id").to_pylist()
    gone, changed = range(2900, 2950), range(2850, 2860)
    rows = [
        *({**items[row], "removed": True} for row in gone),
        *({**items[row], "brand": items[0]["brand"], "removed": False} for row in changed),
    ]
    pq.write_table(pa.Table.from_pylist(rows), made.log / "changes.parquet")
    changes = ("--changes", str(made.log / "changes.parquet"))
    assert main(["--release", str(made.directory), *changes]) == 0
    _, files = read_pair(made.releases, read_current(made.releases))
    base = replace(visiting_all(open_index(files)), cells=None)  # as of one without attributes
    index = with_delta(base, read_delta(files, positions(files)[-1]))
    vectors_NM = np.concatenate([base.vectors_NM, index.vectors_DM])
    hidden = [*gone, *changed]
    rest = np.setdiff1d(np.arange(ITEMS + len(changed)), hidden)
    for query_M in queries_BM:
        for k in (10, 60, 200):
            found = index.search(query_M, EVEN, k, NOTHING)
            expect_the_best(found, query_M, vectors_NM, rest, k)


def test_an_index_with_copies_passes_its_golden_queries(made):
    assert load_snapshot(made.releases).index.copies.spared == 148


def test_an_index_of_other_cells_than_were_measured_is_refused(made):
    """SPEC rule I7: FAISS finds little if it is asked to visit more cells than there are."""
    _, files = read_pair(made.releases, read_current(made.releases))
    effort = files.manifest.effort
    more = files.manifest.model_copy(
        update={"effort": effort.model_copy(update={"cells": 2 * effort.cells})}
    )
    with pytest.raises(DimensionMismatchError, match=r"items\.faiss.*cells"):
        open_index(replace(files, manifest=more))


def test_an_index_whose_copies_are_lost_is_refused(made):
    _, files = read_pair(made.releases, read_current(made.releases))
    with pytest.raises(DimensionMismatchError, match=r"items\.faiss"):
        open_index(replace(files, copies=None))
