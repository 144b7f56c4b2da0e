"""An inverted file of eight bits a dim: half the bytes, and no vector clipped."""

import json

import faiss
import numpy as np
import pytest

from bundle.scoring import exact_top_k
from index_builder.build import build_index
from index_builder.calibrate import recall_by_score
from index_builder.cells import fill_cells
from index_builder.cli import summary
from index_builder.progress import Progress
from index_builder.settings import BuildSettings

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
    return fill_cells(items_NM, np.ones(DIM), items_NM[:256], progress, codes="int8")


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


def test_a_build_reaches_its_target_with_them_and_says_so(catalogue_release):
    report = build_index(catalogue_release.directory, catalogue_release.log, COMPACT)
    assert "kind     ivf, int8 codes" in summary(report)
    assert json.loads((report.directory / "index.json").read_text())["facts"]["codes"] == "int8"
    points = report.manifest.effort.points
    assert min(min(point.recall) for point in points) >= COMPACT.target_recall
