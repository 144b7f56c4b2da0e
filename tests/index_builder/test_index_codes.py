"""Inverted files of eight and of four bits a dim, and who gets which."""

import json
from dataclasses import replace

import faiss
import numpy as np
import pytest

from bundle.codes import inverted_in
from bundle.faiss_file import write_faiss
from bundle.scoring import exact_top_k
from bundle.segments import Segments
from index_builder.build import build_index
from index_builder.calibrate import Target, calibrate, recall_by_score
from index_builder.cells import cell_count, fill_cells
from index_builder.cli import summary
from index_builder.invert import SHORT_FROM, Asking, build_inverted, codes_to_try
from index_builder.levels import LEVELS, best_levels
from index_builder.progress import Phases, Progress
from index_builder.settings import BuildSettings
from index_builder.space import space_as_it_is
from index_builder.truth import find_truth

COUNT, DIM = 50_000, 64
COMPACT = BuildSettings(exact_below=0, max_effort=0.9, users=300, codes="int8")


@pytest.fixture(scope="module")
def items_NM():
    """Clustered vectors, a few of which are long."""
    rng = np.random.default_rng(0)
    items_NM = rng.normal(size=(256, DIM))[rng.integers(256, size=COUNT)]
    items_NM += rng.normal(size=items_NM.shape) / 2
    items_NM[::1000] *= 3
    return items_NM.astype(np.float32)


@pytest.fixture(scope="module")
def compact(items_NM):
    progress = Progress("fill", "items", 2 * COUNT)
    return fill_cells(items_NM, space_as_it_is(DIM), items_NM[:256], progress, codes="int8")


def test_a_vector_of_64_dims_takes_75_bytes_at_most(compact, tmp_path):
    faiss.write_index(compact.faiss_index, str(tmp_path / "items.faiss"))
    assert (tmp_path / "items.faiss").stat().st_size <= 75 * COUNT


def test_no_vector_is_clipped_however_long(items_NM, compact):
    residuals_NM = items_NM - compact.means_CM[compact.cells_N]
    step_M = np.ptp(residuals_NM, axis=0) / 255
    compact.faiss_index.make_direct_map()
    decoded_NM = compact.faiss_index.reconstruct_n(0, COUNT)
    assert (np.abs(decoded_NM - items_NM) <= 1.01 * step_M).all()


def test_a_search_of_all_cells_finds_what_brute_force_finds(items_NM, compact):
    queries_BM = np.random.default_rng(1).normal(size=(10, DIM)).astype(np.float32)
    _, exact_BK = exact_top_k(queries_BM, items_NM, 100)
    found_BK = compact.search(queries_BM, 100, 256)
    assert found_BK.shape == (10, 100)
    assert recall_by_score(found_BK, exact_BK, queries_BM, items_NM) > 0.999


def test_a_list_longer_than_its_cells_ends_with_nothing(items_NM, compact):
    smallest = int(compact.sizes_C.min())
    found_BK = compact.search(items_NM[:5], COUNT, 1)
    assert ((found_BK >= 0).sum(axis=1) >= smallest).all()
    assert (found_BK[:, -1] == -1).all()


@pytest.mark.parametrize("codes", ["int8", "int4"])
def test_a_build_reaches_its_target_with_them_and_says_so(catalogue_release, codes):
    settings = replace(COMPACT, codes=codes)
    report = build_index(catalogue_release.directory, catalogue_release.log, settings)
    assert f"kind     ivf, {codes} codes" in summary(report)
    assert json.loads((report.directory / "index.json").read_text())["facts"]["codes"] == codes
    points = report.manifest.effort.points
    assert min(min(point.recall) for point in points) >= COMPACT.target_recall


@pytest.fixture(scope="module")
def short(items_NM):
    progress = Progress("fill", "items", 2 * COUNT)
    return fill_cells(items_NM, space_as_it_is(DIM), items_NM[:256], progress, codes="int4")


def test_of_four_bits_a_vector_of_64_dims_takes_64_bytes_at_most(short, tmp_path):
    """Where no direction is narrow, so that it has most codes; 3 bytes are unfilled blocks."""
    write_faiss(short.faiss_index, tmp_path)
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert sum(sizes) <= 64 * COUNT


def test_of_four_bits_each_vector_keeps_its_id_and_its_cell(items_NM, short):
    lists = faiss.downcast_InvertedLists(inverted_in(short.faiss_index).invlists)
    for cell in range(0, 256, 51):
        count = lists.list_size(cell)
        ids = faiss.rev_swig_ptr(lists.get_ids(cell), count)
        assert sorted(ids) == np.flatnonzero(short.cells_N == cell).tolist()


def test_of_four_bits_most_of_the_best_are_fetched(items_NM, short):
    queries_BM = np.random.default_rng(1).normal(size=(20, DIM)).astype(np.float32)
    _, exact_BK = exact_top_k(queries_BM, items_NM, 100)
    found_BK = short.search(queries_BM, 100, 256)
    assert recall_by_score(found_BK, exact_BK, queries_BM, items_NM) > 0.93


def clustered(rng, spread: float):
    """Vectors of 1,024 clusters, as wide as told, which most items of a cluster lie near."""
    centres = rng.normal(size=(1024, DIM))
    own = rng.normal(size=(COUNT, DIM))
    return (centres[rng.integers(1024, size=COUNT)] + spread * own).astype(np.float32)


def asking(rng, items_NM):
    users_UM = items_NM[rng.integers(COUNT, size=128)] + rng.normal(size=(128, DIM)) / 4
    users_UM = users_UM.astype(np.float32)
    segments = Segments(("exposure", "click", "conversion"), (24, 20, 20))
    directions_GS = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 1.0]])
    return Asking(users_UM[::2], users_UM[1::2], directions_GS, directions_GS, segments)


def built(items_NM, rng, wanted="auto"):
    target, phases = Target(0.95, 1.0), Phases()
    return build_inverted(items_NM, asking(rng, items_NM), target, wanted, 0, phases)


def error_of(values_BM, levels_ML):
    """Mean squared distance of values to the nearest level of their dim."""
    return np.square(values_BM[:, :, None] - levels_ML).min(axis=2).mean()


def test_levels_are_nearer_to_what_they_stand_for_than_those_of_faiss():
    values_BM = np.random.default_rng(0).standard_t(4, (8192, 4)).astype(np.float32)
    faiss_levels = faiss.ProductQuantizer(4, 4, 4)
    faiss_levels.train(values_BM)
    theirs_ML = faiss.vector_to_array(faiss_levels.centroids).reshape(4, LEVELS)
    assert error_of(values_BM, best_levels(values_BM)) < 0.95 * error_of(values_BM, theirs_ML)


def test_no_single_level_can_be_moved_to_where_it_is_better():
    values_BM = np.random.default_rng(1).normal(size=(4096, 2)).astype(np.float32)
    levels_ML = best_levels(values_BM)
    least = error_of(values_BM, levels_ML)
    for place in np.ndindex(levels_ML.shape):
        for step in (-0.05, 0.05):
            moved_ML = levels_ML.copy()
            moved_ML[place] += step
            assert error_of(values_BM, moved_ML) > least


def test_levels_are_not_spent_on_what_many_items_share():
    values_B1 = np.zeros((1600, 1), np.float32)
    values_B1[::4, 0] = np.arange(400)  # of equal values one level is enough
    levels_L = best_levels(values_B1)[0]
    assert len(np.unique(levels_L)) >= LEVELS - 2
    assert error_of(values_B1, levels_L[None]) < 60


def test_a_dim_that_says_nothing_has_levels_all_the_same():
    np.testing.assert_array_equal(best_levels(np.full((700, 1), 2.5, np.float32)), 2.5)


def test_a_small_catalogue_gets_fp16_at_once():
    assert codes_to_try("auto", SHORT_FROM - 1) == ("fp16",)
    assert codes_to_try("auto", SHORT_FROM) == ("int4", "fp16")


@pytest.fixture
def _large(monkeypatch):
    """As if a catalogue of COUNT items were large."""
    monkeypatch.setattr("index_builder.invert.SHORT_FROM", COUNT)


@pytest.mark.usefixtures("_large")
def test_who_is_told_nothing_gets_four_bits_where_these_cost_no_visits():
    rng = np.random.default_rng(3)
    items_NM = clustered(rng, 0.3)
    inverted, effort = built(items_NM, rng)
    assert inverted.codes == "int4"
    assert effort.cells == cell_count(COUNT, "int4") == 512
    assert min(min(point.recall) for point in effort.points) >= 0.95


@pytest.mark.usefixtures("_large")
def test_and_fp16_in_more_cells_where_four_bits_lose_what_is_best():
    """Few items are many times longer than the rest: their levels are too coarse for all others."""
    rng = np.random.default_rng(3)
    items_NM = clustered(rng, 0.3) * (1 + rng.pareto(1.5, (COUNT, 1))).astype(np.float32)
    inverted, effort = built(items_NM, rng)
    assert inverted.codes == "fp16"
    assert effort.cells == cell_count(COUNT) == 1024
    assert min(min(point.recall) for point in effort.points) >= 0.95
    assert calibrated_kept(items_NM, rng) < 0.99


def calibrated_kept(items_NM, rng) -> float:
    """What codes of four bits keep of the best of these items."""
    inverted, _ = built(items_NM, rng, "fp16")
    progress = Progress("fill", "items", 2 * COUNT)
    short = fill_cells(items_NM, space_as_it_is(DIM), inverted.means_CM, progress, codes="int4")
    asked = asking(rng, items_NM)
    truth = find_truth(
        asked.measuring_BM, items_NM, asked.measured_GS, asked.segments, 1000, progress
    )
    return calibrate(short, items_NM, truth, Target(0.95, 1.0)).kept
