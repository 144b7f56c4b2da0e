"""Search on an inverted file made by the real builder: effort, exclusions, full lists."""

from dataclasses import replace

import numpy as np
import pytest
from support.release import make_release, user_records

from bundle.effort import EffortMap, reduced_cells
from bundle.scoring import exact_top_k, scale_query
from bundle.store import publish
from index_builder.build import BuildSettings, build_index
from service.retrieval.effort import Effort
from service.retrieval.retriever import Query, retrieve
from service.snapshots.golden import GoldenCheckError, check_golden
from service.snapshots.releases import load_snapshot

NOTHING = np.empty(0, np.int64)
PAPER = np.array([1.0, 1.8, 1.2])


@pytest.fixture(scope="module")
def inverted(tmp_path_factory):
    """A snapshot over an inverted file of 4,000 items, and some user vectors."""
    made = make_release(tmp_path_factory.mktemp("ivf"), items=4000, users=200, requests=300)
    settings = BuildSettings(exact_below=100, users=64, max_effort=1.0, target_recall=0.9)
    report = build_index(made.directory, made.log, settings)
    publish(made.releases, made.run_id, report.manifest.build_id)
    snapshot = load_snapshot(made.releases)
    records = user_records(made)[:30]
    columns = {name: [record[name] for record in records] for name in records[0]}
    users_BM = snapshot.tower.embed(snapshot.schema.encode_user(columns, len(records)).arrays)
    return snapshot, records, users_BM


def test_recall_reaches_what_the_builder_promised(inverted):
    snapshot, _, users_BM = inverted
    assert snapshot.index.effort.cells > 1
    for weights_S in (PAPER, np.array([1.0, 0, 0]), np.array([0, 0, 1.0])):
        queries_BM = scale_query(users_BM, weights_S, snapshot.segments)
        expected_BK, _ = exact_top_k(queries_BM, snapshot.index.vectors_NM, 50)
        found = [
            np.isin(
                expected_K, snapshot.index.search(query_M, weights_S, 50, NOTHING).rows_K
            ).mean()
            for query_M, expected_K in zip(queries_BM, expected_BK, strict=True)
        ]
        assert np.mean(found) > 0.87


def recall_at(inverted, wanted):
    """Mean recall at 50 in the paper's weights, and the effort that was spent."""
    snapshot, _, users_BM = inverted
    queries_BM = scale_query(users_BM, PAPER, snapshot.segments)
    expected_BK, _ = exact_top_k(queries_BM, snapshot.index.vectors_NM, 50)
    found = [
        snapshot.index.search(query_M, PAPER, 50, NOTHING, None, wanted) for query_M in queries_BM
    ]
    pairs = zip(expected_BK, found, strict=True)
    recall = np.mean([np.isin(expected_K, each.rows_K).mean() for expected_K, each in pairs])
    (effort,) = {each.effort for each in found}
    return recall, effort, found[0].cells


def test_under_pressure_fewer_cells_are_visited_and_recall_is_what_was_measured_there(inverted):
    effort_map = inverted[0].index.effort
    cells = effort_map.lookup(PAPER, 50)
    for share in effort_map.shares:
        recall, effort, visited = recall_at(inverted, Effort(share))
        assert (effort, visited) == (share, reduced_cells(cells, share))
        assert recall > effort_map.recall(PAPER, 50, share) - 0.05
    assert effort_map.recall(PAPER, 50, share) < effort_map.recall(PAPER, 50)


def test_effort_never_goes_below_the_floor_of_recall(inverted):
    effort_map = inverted[0].index.effort
    floor = effort_map.recall(PAPER, 50, 0.5)
    assert recall_at(inverted, Effort(0.35, floor))[1] == 0.5
    assert recall_at(inverted, Effort(0.35, 1.0))[1] == 1.0


def test_an_index_that_knows_no_recall_at_less_effort_is_searched_in_full(inverted):
    snapshot, *others = inverted
    known = snapshot.index.effort.model_dump()
    points = [{**point, "reduced": []} for point in known["points"]]
    effort = EffortMap.model_validate({**known, "shares": [], "points": points})
    older = replace(snapshot, index=replace(snapshot.index, effort=effort))
    assert recall_at((older, *others), Effort(0.35))[1] == 1.0


def test_an_index_that_finds_less_than_it_promised_fails_its_golden_queries(inverted):
    snapshot, _, _ = inverted
    effort = snapshot.index.effort.model_dump()
    for point in effort["points"]:
        point["nprobe"] = [1] * len(effort["k"])
    index = replace(snapshot.index, effort=EffortMap.model_validate(effort))
    check_golden(snapshot)
    with pytest.raises(GoldenCheckError, match=r"recall of at least 0\.850"):
        check_golden(replace(snapshot, index=index))


@pytest.mark.parametrize("k", [1, 50, 500, 1000])
def test_a_list_is_full_ordered_and_free_of_excluded_items(inverted, k):
    snapshot, _, users_BM = inverted
    for query_M in scale_query(users_BM[:5], PAPER, snapshot.segments):
        best_K = snapshot.index.search(query_M, PAPER, 200, NOTHING).rows_K
        found = snapshot.index.search(query_M, PAPER, k, best_K)
        rows_K, scores_K = found.rows_K, found.scores_K
        assert len(set(rows_K.tolist())) == k
        assert (np.diff(scores_K) <= 0).all()
        assert not np.isin(rows_K, best_K).any()


def test_every_item_can_be_asked_for(inverted):
    snapshot, _, users_BM = inverted
    rows_K = snapshot.index.search(users_BM[0], PAPER, 10_000, np.arange(5)).rows_K
    assert sorted(rows_K.tolist()) == list(range(5, 4000))


def test_a_list_that_comes_back_short_is_searched_for_in_more_cells(inverted):
    snapshot, _, users_BM = inverted
    rows_K = snapshot.index.search(users_BM[0], PAPER, 10, np.arange(3990)).rows_K
    assert sorted(rows_K.tolist()) == list(range(3990, 4000))


def test_exclusions_alone_do_not_make_the_search_visit_every_cell(inverted):
    snapshot, _, users_BM = inverted
    effort = snapshot.index.effort
    longest = effort.k[-1]
    excluding = next(snapshot.index._efforts(PAPER, longest, longest + 900))
    assert excluding == effort.lookup(PAPER, longest)
    assert snapshot.index.search(users_BM[0], PAPER, longest + 1, NOTHING).cells == effort.cells


def test_ids_are_found_by_look_up_and_unknown_ones_left_out(inverted):
    index = inverted[0].index
    ids = ["i0003999", "i0000000", "zzz", "", "i0002000", "i0002000", "i00020001", "\ud800"]
    assert sorted(index.rows_of(ids).tolist()) == [0, 2000, 3999]
    assert index.rows_of([]).tolist() == []
    assert index.ids_of(np.array([2000, 0])) == ["i0002000", "i0000000"]


def test_an_id_with_a_nul_at_its_end_is_no_other_id(inverted):
    snapshot, _, _ = inverted
    item_id = snapshot.index.ids_of(np.array([7]))[0]
    assert snapshot.index.rows_of([item_id, item_id + "\0", item_id + "\0\0", "\0"]).tolist() == [7]


def test_weights_and_their_triple_give_the_same_list(inverted):
    snapshot, records, _ = inverted
    weights = snapshot.default_weights
    triple = type(weights)(weights.stages, tuple(3 * value for value in weights.values))
    for record in records[:5]:
        once, thrice = (retrieve(snapshot, Query(record, w, 300)) for w in (weights, triple))
        assert once.item_ids == thrice.item_ids
