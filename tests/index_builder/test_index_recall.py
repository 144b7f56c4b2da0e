"""What a server may rely on when it searches a built index with plain FAISS."""

import faiss
import numpy as np
import pytest
from support.release import Release, make_release, user_records

from bundle.codes import codes_of, fetched, is_short, rescored
from bundle.faiss_file import open_faiss
from bundle.scoring import exact_top_k, scale_query
from bundle.segments import Segments
from bundle.store import Index, read_index
from index_builder.build import build_index
from index_builder.calibrate import Target, calibrate, recall_by_score
from index_builder.cells import fill_cells, train_centroids
from index_builder.encode import encode_users
from index_builder.errors import InputError
from index_builder.progress import Progress
from index_builder.settings import BuildSettings
from index_builder.space import space_as_it_is
from index_builder.truth import find_truth


def open_as_a_server(index: Index) -> faiss.Index:
    return open_faiss(index.directory)


def search(index: Index, queries_BM, k: int, nprobe: int):
    """As a server does: more by short codes, scored again."""
    opened, parameters = open_as_a_server(index), faiss.SearchParametersIVF(nprobe=nprobe)
    codes = codes_of(opened)
    found_BL = opened.search(queries_BM, fetched(k, codes), params=parameters)[1]
    if not is_short(codes):
        return found_BL
    asked = zip(queries_BM, found_BL, strict=True)
    vectors_NM = np.asarray(index.item_vectors_NM)
    return np.stack([rescored(query_M, ids_L, vectors_NM, k)[0] for query_M, ids_L in asked])


def recall(index: Index, queries_BM, k: int, nprobe: int) -> float:
    _, scores_BK = exact_top_k(queries_BM, index.item_vectors_NM, k)
    found_BK = search(index, queries_BM, k, nprobe)
    return recall_by_score(found_BK, scores_BK, queries_BM, index.item_vectors_NM)


def unseen_users(release: Release, index: Index):
    """Vectors of users whose requests took no part in the build."""
    users_BM = encode_users(release.bundle, user_records(release))
    seen = {vector.tobytes() for vector in index.calibration_users_CM}
    return np.stack([vector for vector in users_BM if vector.tobytes() not in seen])


def test_an_exact_index_returns_what_brute_force_returns_for_any_weights(release):
    report = build_index(release.directory, release.log, BuildSettings())
    index = read_index(report.directory, release.bundle)
    users_BM = encode_users(release.bundle, user_records(release))
    rng = np.random.default_rng(1)
    assert index.manifest.kind == "exact"
    for weights_S in rng.exponential(size=(5, 3)):
        queries_BM = scale_query(users_BM, weights_S, release.bundle.segments)
        expected, _ = exact_top_k(queries_BM, index.item_vectors_NM, 20)
        _, found = open_as_a_server(index).search(queries_BM, 20)
        assert np.array_equal(expected, found)


def test_every_direction_of_the_effort_map_reaches_the_target(catalogue_release, ivf_index):
    effort = ivf_index.manifest.effort
    segments = catalogue_release.bundle.segments
    for point in effort.points:
        queries_BM = scale_query(ivf_index.calibration_users_CM, np.array(point.weights), segments)
        for k, nprobe, claimed in zip(effort.k, point.nprobe, point.recall, strict=True):
            assert claimed >= effort.target_recall
            assert recall(ivf_index, queries_BM, k, nprobe) == pytest.approx(claimed, abs=5e-4)


def test_the_effort_map_holds_between_its_points_and_lengths_and_for_users_it_has_not_seen(
    catalogue_release, ivf_index
):
    effort = ivf_index.manifest.effort
    users_BM = unseen_users(catalogue_release, ivf_index)
    assert len(users_BM) > 500
    for weights_S in np.random.default_rng(2).exponential(size=(8, 3)):
        queries_BM = scale_query(users_BM[:400], weights_S, catalogue_release.bundle.segments)
        for k in (30, 70, 200, 400, 700):  # none of them was measured
            nprobe = effort.lookup(weights_S, k)
            assert recall(ivf_index, queries_BM, k, nprobe) >= effort.target_recall


@pytest.mark.parametrize("kept", [0.999, 0.98])
def test_what_codes_lose_is_made_up_for_with_cells_or_for_long_lists_with_all(
    catalogue_release, monkeypatch, kept
):
    monkeypatch.setattr("index_builder.calibrate._kept", lambda *_: kept)
    settings = BuildSettings(exact_below=0, max_effort=0.35, users=60, target_recall=0.94)
    report = build_index(catalogue_release.directory, catalogue_release.log, settings)
    effort = report.manifest.effort
    assert effort.k == [50, 100, 500, 1000]
    for point in effort.points:
        assert min(point.recall) >= settings.target_recall
        assert max(point.nprobe[:3]) <= 0.35 * effort.cells
        assert point.nprobe[3] == effort.cells


def test_vectors_beyond_the_range_of_fp16_are_refused():
    items_NM = np.full((20, 4), 70_000, np.float32)
    with pytest.raises(InputError, match="beyond the fp16 range"):
        fill_cells(items_NM, space_as_it_is(4), items_NM[:2], Progress("fill", "items", 40))


def test_the_effort_is_not_wasteful(catalogue_release, ivf_index):
    effort = ivf_index.manifest.effort
    weights_S = np.array([1.0, 1.8, 1.2])
    queries_BM = scale_query(
        ivf_index.calibration_users_CM, weights_S, catalogue_release.bundle.segments
    )
    half = effort.lookup(weights_S, 50) // 2
    assert recall(ivf_index, queries_BM, 50, half) < effort.target_recall


def test_visiting_every_cell_finds_every_item(catalogue_release, ivf_index):
    queries_BM = ivf_index.calibration_users_CM[:3]
    cells = ivf_index.manifest.effort.cells
    found = search(ivf_index, queries_BM, ivf_index.manifest.items, cells)
    for row in found:
        assert np.array_equal(np.arange(ivf_index.manifest.items), np.sort(row))


def test_golden_cases_are_the_exact_lists_of_their_raw_records(catalogue_release, ivf_index):
    bundle = catalogue_release.bundle
    for case in ivf_index.golden.cases:
        weights_S = np.array([case.weights[stage] for stage in bundle.segments.names])
        users_1M = encode_users(bundle, [case.user])
        query_1M = scale_query(users_1M, weights_S, bundle.segments)
        rows, scores = exact_top_k(query_1M, ivf_index.item_vectors_NM, len(case.item_ids))
        assert case.item_ids == [item.decode() for item in ivf_index.item_ids_N[rows[0]]]
        assert case.scores == pytest.approx(scores[0].tolist(), rel=1e-5)


@pytest.mark.parametrize("stages", [2, 5])
def test_cascades_of_two_and_of_five_stages_reach_the_target(tmp_path, stages):
    names = ("exposure", "click", "cart", "order", "repeat")[:stages]
    segments = Segments(names, (4,) * stages)
    release = make_release(tmp_path, segments=segments, items=1200)
    settings = BuildSettings(exact_below=0, max_effort=1.0, users=64)
    effort = build_index(release.directory, release.log, settings).manifest.effort
    assert min(min(point.recall) for point in effort.points) >= settings.target_recall


def test_recall_counts_an_equal_score_as_found_whatever_its_id():
    items_NM = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    queries_BM = np.array([[1, 0]], np.float32)
    exact = np.array([[1.0, 1.0]], np.float32)
    assert recall_by_score(np.array([[2, 1]]), exact, queries_BM, items_NM) == 1
    assert recall_by_score(np.array([[2, 3]]), exact, queries_BM, items_NM) == 0.5
    assert recall_by_score(np.array([[2, -1]]), exact, queries_BM, items_NM) == 0.5


def test_users_whose_vector_is_zero_do_not_make_the_search_dearer(catalogue_release, ivf_index):
    items_NM = np.array(ivf_index.item_vectors_NM)
    segments = catalogue_release.bundle.segments
    users_BM = np.array(ivf_index.calibration_users_CM)
    centroids_CM = train_centroids(items_NM, space_as_it_is(segments.dim), seed=0)
    progress = Progress("fill", "items", 2 * len(items_NM))
    inverted = fill_cells(items_NM, space_as_it_is(segments.dim), centroids_CM, progress)
    truths = [
        find_truth(users, items_NM, np.ones((1, 3)), segments, 1000, progress)
        for users in (users_BM, np.concatenate([users_BM, np.zeros_like(users_BM)]))
    ]
    found = [calibrate(inverted, items_NM, truth, Target(0.95, 1.0)) for truth in truths]
    without, among = (each.effort.points[0].nprobe for each in found)
    assert all(few <= many for few, many in zip(among, without, strict=True))
