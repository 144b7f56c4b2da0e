"""The inverted file: cells by k-means where scores vary, probed by inner product with cell means.

Decisions
- Cells come from L2 k-means. FAISS's own default for inner product, spherical k-means, needs
  several times the work for the same recall on vectors of unequal norm.
- k-means sees items in the space of scores (space.py): cells are spread where queries look, under
  all weights, so that recall stays even over them. That shapes the cells; cell means, and codes of
  16 and 8 bits, are of the original vectors.
- Items count for k-means half alike and half by how often queries want them: where many look cells
  are small. Otherwise a few items, far from all others, that a tenth of the users want may share a
  cell with thousands; 1.3 to 3.7 times the visits at recall .98, by the seed (a million items).
- A search visits the cells whose un-normalised mean has the largest inner product with the query:
  an L2 coarse quantizer collapses once weights stretch the query.
- What vectors are stored as: codes.py. A search of short codes scores what it fetched again, as a
  reader does; see bundle/codes.py.
- Cells that attract no item are dropped.
- Items that share a vector (`copies`) lie in one cell, as one vector under one id; the cell's mean
  still counts each of them, so that what many items share is met early.

Dimension letters: N items, M vector dims, D dims of the space of scores, C cells, B block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import faiss
import numpy as np
from numpy.typing import NDArray

from bundle.codes import Codes, codes_of, fetched, is_short, rescored
from bundle.copies import Copies
from index_builder.codes import BLOCK, Filling, Floats, begin
from index_builder.errors import InputError
from index_builder.progress import Progress
from index_builder.space import ScoreSpace

# Where scores vary ten iterations leave a third of the visits to be saved (k = 50); four times the
# sample saves a fifth more, for four times the seconds of k-means.
SAMPLE_PER_CELL, ITERATIONS = 64, 25
FP16_MAX = 65_504.0
NOT_STORED = -1


@dataclass(frozen=True)
class InvertedFile:
    """A FAISS index, and what calibration needs of it: each item's cell and each cell's mean."""

    faiss_index: faiss.Index
    items_NM: Floats
    cells_N: NDArray[np.int32]
    means_CM: Floats  # as searches score them
    copies: Copies | None = None

    @property
    def cells(self) -> int:
        """How many."""
        return len(self.means_CM)

    @property
    def sizes_C(self) -> NDArray[np.int64]:
        """Items per cell."""
        return np.bincount(self.cells_N, minlength=len(self.means_CM))

    @property
    def codes(self) -> Codes:
        """What vectors are stored as."""
        return codes_of(self.faiss_index)

    def search(self, queries_BM: Floats, k: int, cells: int) -> NDArray[np.int64]:
        """The best k rows of so many cells [B, K]; -1 where they hold fewer."""
        codes, copies = self.codes, self.copies
        most, parameters = fetched(k, codes), visiting(cells)
        scores_BL, ids_BL = self.faiss_index.search(queries_BM, most, params=parameters)
        found = list(zip(ids_BL, scores_BL, strict=True))
        if is_short(codes):
            asked = zip(queries_BM, ids_BL, strict=True)
            found = [rescored(query_M, ids_L, self.items_NM, k, copies) for query_M, ids_L in asked]
        if copies:
            found = [copies.expanded(*each, most=k) for each in found]
        return np.stack([ids_L[:k] for ids_L, _ in found])


def cell_count(items: int, codes: Codes = "fp16") -> int:
    """nlist: the power of two nearest to 4·√N, and at least 8 items per cell on average.

    Half as many of 4 bits: items are scanned sooner, choosing cells takes as long as ever.
    """
    cells = (2 if codes == "int4" else 4) * math.sqrt(items)
    return int(2 ** round(math.log2(max(1.0, min(cells, items / 8)))))


def train_centroids(
    items_NM: Floats, space: ScoreSpace, seed: int, codes: Codes = "fp16"
) -> Floats:
    """Centroids [C, D] of a sample of the items in the space of scores, by weighted k-means."""
    count = len(items_NM)
    cells = cell_count(count, codes)
    rng = np.random.default_rng(seed)
    rows_B = np.sort(rng.choice(count, min(count, cells * SAMPLE_PER_CELL), replace=False))
    sample_BM = items_NM[rows_B]
    sample_BD = np.ascontiguousarray(space.shaped(sample_BM))
    kmeans = faiss.Kmeans(
        sample_BD.shape[1],
        cells,
        niter=ITERATIONS,
        seed=seed,
        max_points_per_centroid=SAMPLE_PER_CELL,
        min_points_per_centroid=1,
    )
    kmeans.train(sample_BD, weights=(1 + space.wanted(sample_BM)).astype(np.float32))
    return np.asarray(kmeans.centroids, np.float32)


@cache
def visiting(cells: int) -> faiss.SearchParameters:
    """Parameters of a search that visits so many cells; kept, as a service keeps them."""
    parameters = faiss.SearchParametersIVF()
    parameters.nprobe = cells
    return parameters


def fill_cells(
    items_NM: Floats,
    space: ScoreSpace,
    centroids_CD: Floats,
    progress: Progress,
    copies: Copies | None = None,
    codes: Codes = "fp16",
) -> InvertedFile:
    """Assign all items and add them. `progress` counts items twice: assigned, then added.

    Without `copies` items that share a vector are stored one by one, each under its row.
    Raises InputError when a component does not fit fp16.
    """
    cells_N, means_CM = _assign(items_NM, space, centroids_CD, progress)
    ids_N = np.arange(len(items_NM))
    if copies:
        firsts_G = copies.rows_R[copies.starts_G1[:-1]]
        cells_N[copies.rows_R] = np.repeat(cells_N[firsts_G], copies.sizes_G)
        ids_N[copies.rows_R] = NOT_STORED
        ids_N[firsts_G] = len(items_NM) + np.arange(len(firsts_G))
    cells_N, means_CM = _drop_empty(cells_N, means_CM)
    filling = begin(codes, items_NM, cells_N, means_CM, space)
    _fill(filling, items_NM, ids_N, cells_N, progress)
    return InvertedFile(filling.done(), items_NM, cells_N, filling.means_CM, copies)


def _assign(
    items_NM: Floats, space: ScoreSpace, centroids_CD: Floats, progress: Progress
) -> tuple[NDArray[np.int32], Floats]:
    """Each item's nearest centroid [N], and each cell's mean in the original space."""
    nearest = faiss.IndexFlatL2(centroids_CD.shape[1])
    nearest.add(centroids_CD)
    cells_N = np.empty(len(items_NM), np.int32)
    sums_CM = np.zeros((len(centroids_CD), items_NM.shape[1]), np.float64)
    for start in range(0, len(items_NM), BLOCK):
        block_BM = np.asarray(items_NM[start : start + BLOCK])
        if np.abs(block_BM).max() > FP16_MAX:
            raise InputError(
                "item_tower.onnx",
                f"rows {start} to {start + len(block_BM)}",
                found=f"a component beyond the fp16 range of ±{FP16_MAX:g}",
                remedy="train with smaller vectors, or keep floats with --exact-below",
            )
        cells_B = nearest.search(np.ascontiguousarray(space.shaped(block_BM)), 1)[1][:, 0]
        cells_N[start : start + BLOCK] = cells_B
        _add_up(sums_CM, cells_B, block_BM)
        progress.advance(len(block_BM))
    sizes_C1 = np.bincount(cells_N, minlength=len(sums_CM))[:, None]
    return cells_N, (sums_CM / np.maximum(sizes_C1, 1)).astype(np.float32)


def _add_up(sums_CM: NDArray[np.float64], cells_B: NDArray[np.int64], block_BM: Floats) -> None:
    """Add each vector to its cell's sum; in order of cells, which is eight times as fast."""
    order_B = np.argsort(cells_B, kind="stable")
    used, starts = np.unique(cells_B[order_B], return_index=True)
    sums_CM[used] += np.add.reduceat(block_BM[order_B], starts, axis=0, dtype=np.float64)


def _drop_empty(cells_N: NDArray[np.int32], means_CM: Floats) -> tuple[NDArray[np.int32], Floats]:
    used, renumbered_N = np.unique(cells_N, return_inverse=True)
    return renumbered_N.astype(np.int32), means_CM[used]


def _fill(
    filling: Filling,
    items_NM: Floats,
    ids_N: NDArray[np.int64],
    cells_N: NDArray[np.int32],
    progress: Progress,
) -> None:
    for start in range(0, len(items_NM), BLOCK):
        block_BM = np.ascontiguousarray(items_NM[start : start + BLOCK], np.float32)
        ids_B = ids_N[start : start + BLOCK]
        cells_B = cells_N[start : start + BLOCK].astype(np.int64)
        if (stored_B := ids_B != NOT_STORED).all():
            filling.add(block_BM, ids_B, cells_B)
        elif stored_B.any():
            filling.add(block_BM[stored_B], ids_B[stored_B], cells_B[stored_B])
        progress.advance(len(block_BM))
