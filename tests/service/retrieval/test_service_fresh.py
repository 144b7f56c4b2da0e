"""An index with a delta is searched as one: exact for what is new, nothing of what is gone."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.release import make_release, user_records

from bundle.delta import positions, read_delta
from bundle.scoring import exact_top_k, scale_query
from bundle.store import read_current, read_pair
from index_builder.cli import main
from service.retrieval.filters import Condition
from service.retrieval.fresh import with_delta
from service.retrieval.index import open_index
from service.retrieval.retriever import Query, retrieve
from service.retrieval.scorer import Candidates, score
from service.retrieval.users import RawUser, embed
from service.snapshots.releases import load_snapshot

PAPER = np.array([1.0, 1.8, 1.2])
NOTHING = np.empty(0, np.int64)
ITEMS, NEW, UPDATED, REMOVED = 4000, 200, 300, 400


@pytest.fixture(scope="module", params=["ivf", "exact"])
def fresh(request, tmp_path_factory):
    """A delta over an index of each kind: its snapshot, the union's ids and vectors, queries."""
    made = make_release(tmp_path_factory.mktemp("fresh"), items=ITEMS, users=100, requests=200)
    below = "100" if request.param == "ivf" else "10000"
    options = ("--max-effort", "1", "--exact-below", below, "--attributes", "brand,price")
    release = ("--release", str(made.directory))
    assert main([*release, "--log", str(made.log), "--publish", *options]) == 0
    items = pq.read_table(made.log / "items.parquet").sort_by("item_id").to_pylist()
    rng = np.random.default_rng(3)
    chosen = rng.permutation(ITEMS)
    gone, updated, copied = np.split(
        chosen[: REMOVED + UPDATED + NEW], [REMOVED, REMOVED + UPDATED]
    )
    rows = [
        *({"item_id": items[row]["item_id"], "removed": True} for row in gone),
        *({**items[row], "price": 5000.0, "brand": "updated"} for row in updated),
        *({**items[row], "item_id": f"new{row}", "brand": "a new brand"} for row in copied),
    ]
    names = ["item_id", "removed", "brand", "price", "content"]
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    pq.write_table(table, made.log / "changes.parquet")
    assert main([*release, "--changes", str(made.log / "changes.parquet")]) == 0
    bundle, files = read_pair(made.releases, read_current(made.releases))
    delta = read_delta(files, positions(files)[-1])
    index = with_delta(open_index(files), delta)
    shown_N = ~np.isin(files.item_ids_N, np.append(delta.item_ids_D, delta.removed_ids_R))
    ids = np.append(files.item_ids_N[shown_N], delta.item_ids_D).astype(str)
    vectors_NM = np.concatenate([files.item_vectors_NM[shown_N], delta.item_vectors_DM])
    queries_BM = scale_query(files.calibration_users_CM[:20], PAPER, bundle.segments)
    return made, index, delta, ids, vectors_NM, queries_BM


def test_the_list_is_that_of_all_items_there_are(fresh):
    _, index, delta, ids, vectors_NM, queries_BM = fresh
    assert len(ids) == len(index.ids_N) == ITEMS + NEW - REMOVED
    recalls, recalls_of_new = [], []
    for query_M in queries_BM:
        exact_1K, _ = exact_top_k(query_M[None], vectors_NM, 100)
        found = index.search(query_M, PAPER, 100, NOTHING)
        rows_K, scores_K = found.rows_K, found.scores_K
        found = index.ids_of(rows_K)
        assert len(set(found)) == 100
        assert (np.diff(scores_K) <= 0).all()
        np.testing.assert_allclose(index.vectors_of(rows_K) @ query_M, scores_K, atol=0.01)
        exact = ids[exact_1K[0]]
        recalls.append(np.isin(exact, found).mean())
        new = exact[np.isin(exact, delta.item_ids_D.astype(str))]
        recalls_of_new += np.isin(new, found).tolist()
    assert np.mean(recalls) >= 0.95
    assert recalls_of_new
    assert all(recalls_of_new)


def test_every_item_there_is_can_be_asked_for_and_no_other(fresh):
    _, index, _, ids, _, queries_BM = fresh
    rows_K = index.search(queries_BM[0], PAPER, 10_000, NOTHING).rows_K
    assert sorted(ids) == sorted(index.ids_of(rows_K)) == index.ids_N.astype(str).tolist()


def test_ids_lead_to_their_row_wherever_it_is_and_removed_ones_to_none(fresh):
    _, index, delta, ids, _, _ = fresh
    removed = delta.removed_ids_R.astype(str).tolist()
    asked = [*ids[::50], *removed[:5], "nobody", "", "an id that is longer than any other"]
    rows_X = index.rows_of(asked)
    assert sorted(ids[::50]) == sorted(index.ids_of(rows_X))
    assert len(index.rows_of([])) == 0


def test_excluded_items_old_and_new_stay_away(fresh):
    _, index, delta, _, _, queries_BM = fresh
    first_K = index.search(queries_BM[0], PAPER, 60, NOTHING).rows_K
    first = index.ids_of(first_K)
    assert set(first) & set(delta.item_ids_D.astype(str))
    rows_K = index.search(queries_BM[0], PAPER, 30, index.rows_of(first[:30])).rows_K
    assert len(rows_K) == 30
    assert not set(index.ids_of(rows_K)) & set(first[:30])
    everything = index.rows_of(index.ids_N.astype(str).tolist())
    assert len(index.search(queries_BM[0], PAPER, 30, everything).rows_K) == 0


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        (Condition("brand", equals="a new brand"), NEW),
        (Condition("brand", equals="updated"), UPDATED),
        (Condition("price", equals=5000), UPDATED),
        (Condition("brand", none_of=["updated", "a new brand"]), ITEMS - REMOVED - UPDATED),
        (Condition("brand", equals="nobody's"), 0),
    ],
)
def test_a_filter_sees_new_values_and_never_old_ones(fresh, condition, count):
    _, index, _, _, _, queries_BM = fresh
    passing = index.passing([condition])
    rows_K = index.search(queries_BM[0], PAPER, 10_000, NOTHING, passing).rows_K
    assert len(rows_K) == count


def test_a_query_gets_objective_scores_of_old_and_new_items_alike(fresh):
    made, index, delta, _, _, _ = fresh
    snapshot = load_snapshot(made.releases)
    snapshot = replace(snapshot, index=index)
    weights = snapshot.default_weights
    found = retrieve(snapshot, Query(user_records(made)[0], weights, 300, (), True))
    assert set(found.item_ids) & set(delta.item_ids_D.astype(str))
    total = sum(found.objective_scores[stage] for stage in weights.stages)
    np.testing.assert_allclose(total, found.scores, atol=0.01)


def test_of_an_index_that_only_gains_items_nothing_is_hidden(fresh):
    _, index, delta, _, _, _ = fresh
    base = index.base
    gains = replace(
        delta,
        item_ids_D=np.array([b"zz"]),
        item_vectors_DM=np.array(base.vectors_NM[:1]),
        removed_ids_R=np.empty(0, "S1"),
        attributes=(),
    )
    gained = with_delta(index, gains)
    assert gained.everything.count == ITEMS
    rows_K = gained.search(base.vectors_NM[0], PAPER, ITEMS + 1, NOTHING).rows_K
    assert len(rows_K) == ITEMS + 1


def test_old_and_new_items_are_scored_and_removed_ones_are_missing(fresh):
    made, index, delta, ids, vectors_NM, _ = fresh
    snapshot = replace(load_snapshot(made.releases), index=index)
    gone = delta.removed_ids_R.astype(str).tolist()[:3]
    places = [*range(0, len(ids), 100), len(ids) - 1]
    asked = [*ids[places].tolist(), *gone]
    found = score(snapshot, Candidates({}, snapshot.default_weights, asked))
    assert (found.item_ids, found.missing) == (asked[:-3], gone)
    (user,) = embed(snapshot, [RawUser({})])
    query_1M = scale_query(user.vector_1M, np.ones(3), snapshot.segments)
    np.testing.assert_allclose(found.scores, vectors_NM[places] @ query_1M[0], atol=1e-5)


@pytest.mark.parametrize("hidden", [3, 30])
def test_few_items_that_are_gone_are_dropped_wherever_they_stood_in_the_list(fresh, hidden):
    """30 are less than a hundredth, and more than a list of 20 has to spare."""
    _, index, delta, _, _, queries_BM = fresh
    base, shares = index.base, []
    best_BK = exact_top_k(queries_BM[:10], base.vectors_NM, 100)[0]
    for query_M, best_K in zip(queries_BM, best_BK, strict=False):
        gone = replace(
            delta,
            item_ids_D=np.empty(0, "S1"),
            item_vectors_DM=np.empty((0, len(query_M)), np.float32),
            removed_ids_R=np.sort(base.ids_N[best_K[:hidden]]),
            attributes=(),
        )
        for excluded in (0, 5):
            rest_K = best_K[hidden:]
            found = with_delta(index, gone).search(query_M, PAPER, 20, np.sort(rest_K[:excluded]))
            assert len(found.rows_K) == 20
            assert not np.isin(found.rows_K, best_K[: hidden + excluded]).any()
            shares.append(np.isin(rest_K[excluded : excluded + 20], found.rows_K).mean())
            assert found.candidates == ITEMS - hidden
    assert np.mean(shares) >= 0.93


def test_a_list_of_all_that_is_left_lacks_the_few_that_are_gone(fresh):
    _, index, delta, _, _, queries_BM = fresh
    gone = replace(
        delta,
        item_ids_D=np.empty(0, "S1"),
        item_vectors_DM=np.empty((0, queries_BM.shape[1]), np.float32),
        removed_ids_R=index.base.ids_N[10:20],
        attributes=(),
    )
    rows_K = with_delta(index, gone).search(queries_BM[0], PAPER, ITEMS, NOTHING).rows_K
    assert sorted(rows_K) == [*range(10), *range(20, ITEMS)]
