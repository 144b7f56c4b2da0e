"""Vectors to codes: an empty inverted file for each kind, filled cell by cell.

Decisions
- fp16 codes are of the vectors; those of 8 and 4 bits are of what a vector is beyond its cell's
  mean.
- Of 8 bits the steps of a dim are even, and their range is that of all items, since what is longest
  is what is found.
- Of 4 bits a dim has 16 levels (FAISS's product quantizer, with a part for each dim), which are
  scanned in registers (its fast scan). They are added unpacked, as FAISS packs only what it assigns
  to cells itself, and packed once all are there.
- Levels are by Lloyd's algorithm on a sorted sample, where a level's share is a stretch and its
  mean a difference of sums. FAISS's k-means, made for many dims, stops far from it (a sixth to a
  half more error) and takes tens of times as long.

Dimension letters: N items, M vector dims, C cells, B block, L levels.
"""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from bundle.codes import Codes

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
BLOCK = 65_536
LEVELS, LEVELS_SAMPLE = 16, 65_536  # of 4 bits, and the items that choose them
# Of Lloyd's algorithm, until no level moves by more than this part of its dim's deviation.
PASSES, SETTLED = 200, 1e-4


def empty(
    codes: Codes, items_NM: Floats, cells_N: NDArray[np.int32], means_CM: Floats
) -> faiss.IndexIVF:
    """An inverted file with these cells, to be filled; short codes learn from the items."""
    cells, dim = means_CM.shape
    quantizer = faiss.IndexFlatIP(dim)
    quantizer.add(means_CM)
    product, kinds = faiss.METRIC_INNER_PRODUCT, faiss.ScalarQuantizer
    residual = codes == "int8"
    index: faiss.IndexIVF
    if codes == "int4":
        index = parts = faiss.IndexIVFPQ(quantizer, dim, cells, dim, 4, product)
        parts.by_residual = True
        levels_ML = best_levels(_sample(items_NM, cells_N, means_CM))
        faiss.copy_array_to_vector(levels_ML.ravel(), parts.pq.centroids)
    else:
        kind = kinds.QT_8bit if residual else kinds.QT_fp16
        index = steps = faiss.IndexIVFScalarQuantizer(
            quantizer, dim, cells, kind, product, residual
        )
        if residual:
            steps.sq.train(_ranges(items_NM, cells_N, means_CM))  # it learns the range it is shown
    index.is_trained = True  # fp16 learns nothing, and the cells are already known
    return index


def add(index: faiss.IndexIVF, block_BM: Floats, ids_B: Rows, cells_B: Rows) -> None:
    """Add vectors under these ids to these cells."""
    index.add_core(
        len(block_BM), faiss.swig_ptr(block_BM), faiss.swig_ptr(ids_B), faiss.swig_ptr(cells_B)
    )


def packed(index: faiss.IndexIVF) -> faiss.IndexIVF:
    """The filled index as it is searched; what it was filled through is empty then."""
    if not isinstance(index, faiss.IndexIVFPQ):
        return index
    fast = faiss.IndexIVFPQFastScan(index)  # which keeps the other one, whose cells it shares
    nothing = faiss.ArrayInvertedLists(index.nlist, index.code_size)
    nothing.this.disown()  # type: ignore[attr-defined]  # not in its stubs
    index.replace_invlists(nothing, True)
    fast.orig_invlists = nothing
    return fast


def best_levels(values_BM: Floats) -> Floats:
    """The LEVELS numbers of each dim [M, L], ascending, that its values lie nearest to."""
    sorted_MB = np.ascontiguousarray(np.sort(values_BM, axis=0).T)
    dims, count = sorted_MB.shape
    sums_MB1 = np.zeros((dims, count + 1))
    np.cumsum(sorted_MB, axis=1, dtype=np.float64, out=sums_MB1[:, 1:])
    quantiles_L = ((np.arange(LEVELS) + 0.5) / LEVELS * count).astype(int)
    even_ML = np.linspace(sorted_MB[:, 0], sorted_MB[:, -1], LEVELS, axis=1, dtype=np.float64)
    levels_ML = 0.75 * sorted_MB[:, quantiles_L] + 0.25 * even_ML  # apart where many are equal
    settled_M1 = SETTLED * sorted_MB.std(axis=1, keepdims=True)
    for _ in range(PASSES):
        between = ((levels_ML[:, 1:] + levels_ML[:, :-1]) / 2).astype(np.float32)  # as the values
        found = [np.searchsorted(*each) for each in zip(sorted_MB, between, strict=True)]
        edges = np.pad(found, ((0, 0), (1, 1)), constant_values=((0, 0), (0, count)))
        sizes_ML, totals_ML = np.diff(edges), np.diff(np.take_along_axis(sums_MB1, edges, axis=1))
        before_ML, used_ML = levels_ML, sizes_ML > 0  # one that nothing is near to stays
        levels_ML = np.where(used_ML, totals_ML / np.maximum(sizes_ML, 1), before_ML)
        if (np.abs(levels_ML - before_ML) <= settled_M1).all():
            break
    return levels_ML.astype(np.float32)


def _sample(items_NM: Floats, cells_N: NDArray[np.int32], means_CM: Floats) -> Floats:
    """Residuals of some items, at equal distances."""
    rows_B = np.arange(0, len(items_NM), max(1, len(items_NM) // LEVELS_SAMPLE))
    residuals_BM: Floats = items_NM[rows_B] - means_CM[cells_N[rows_B]]
    return residuals_BM


def _ranges(items_NM: Floats, cells_N: NDArray[np.int32], means_CM: Floats) -> Floats:
    """The least and the largest residual of each dim [2, M]."""
    ranges_2M = np.zeros((2, means_CM.shape[1]), np.float32)
    for start in range(0, len(items_NM), BLOCK):
        block = slice(start, start + BLOCK)
        residuals_BM = items_NM[block] - means_CM[cells_N[block]]
        np.minimum(ranges_2M[0], residuals_BM.min(axis=0), out=ranges_2M[0])
        np.maximum(ranges_2M[1], residuals_BM.max(axis=0), out=ranges_2M[1])
    return ranges_2M
