"""Vectors to codes: an inverted file of each kind, filled cell by cell.

    filling = begin(codes, items_NM, cells_N, means_CM, space)
    filling.add(block_BM, ids_B, cells_B)              for all blocks
    index = filling.done()

Decisions
- fp16 codes are of the vectors; those of 8 and 4 bits are of what a vector is beyond its cell's
  mean.
- Of 8 bits the steps of a dim are even, and their range is that of all items, since what is longest
  is what is found.
- Codes of 4 bits are of coordinates in the space of scores (space.py): where scores do not vary
  nothing is stored, and where they vary most a dim has two codes, the second of what the first
  leaves. Each code is bought for what it takes off the error under the worst weights, until ERROR
  of the variance of scores is left, and a multiple of EVEN: 32 or 40 codes of 64 dims, 96 if no
  direction is narrow. FAISS scores cells by as many dims, and 2,048 of them take 17 µs of 30 dims,
  12 of 32: what fills no register is added one by one.
- A code has 16 levels (FAISS's product quantizer, a part for each code), scanned in registers (its
  fast scan). A query has a dim of two codes twice. Vectors are added unpacked, as FAISS packs only
  what it assigns to cells itself, and packed once all are there.
- Where a dim has two codes, the first one's levels divide the range of all items evenly, and the
  second one's are the best for what that leaves. Levels that are best for most items leave out the
  few that lie farthest, and these are what is found: in a million they lost 1 to 2.5 % of the best
  50, however many were fetched.

Dimension letters: N items, M vector dims, C cells, B block, L levels, G directions of weights,
D dims of the space that have codes, P codes of a vector.
"""

from __future__ import annotations

from typing import Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from bundle.codes import Codes
from index_builder.levels import best_levels, even_levels
from index_builder.space import ScoreSpace, Shares

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
BLOCK = 65_536
SAMPLE = 65_536  # items that choose levels
ERROR = 0.002  # of the variance of scores, that codes of 4 bits may leave
MOST = 1.5  # codes a dim, over all dims
EVEN = 8  # codes come in so many, unless there is no more room
LEFT = (1.0, 0.0095, 0.0001)  # of a dim's variance by no code, one of 16 levels, and two


class Filling(Protocol):
    """An inverted file that is being filled."""

    means_CM: Floats  # of cells, as its searches score them

    def add(self, block_BM: Floats, ids_B: Rows, cells_B: Rows) -> None:
        """Add vectors under these ids to these cells."""

    def done(self) -> faiss.Index:
        """The index as it is searched; nothing can be added then."""


def begin(
    codes: Codes,
    items_NM: Floats,
    cells_N: NDArray[np.int32],
    means_CM: Floats,
    space: ScoreSpace,
) -> Filling:
    """An inverted file with these cells, to be filled; short codes learn from the items."""
    if codes == "int4":
        return FourBits(items_NM, cells_N, means_CM, space)
    return Scalars(codes, items_NM, cells_N, means_CM)


class Scalars:
    """Codes of 16 or 8 bits a dim."""

    def __init__(
        self, codes: Codes, items_NM: Floats, cells_N: NDArray[np.int32], means_CM: Floats
    ) -> None:
        cells, dim = means_CM.shape
        residual, kinds = codes == "int8", faiss.ScalarQuantizer
        kind = kinds.QT_8bit if residual else kinds.QT_fp16
        self.means_CM = means_CM
        self._index = faiss.IndexIVFScalarQuantizer(
            _quantizer(means_CM), dim, cells, kind, faiss.METRIC_INNER_PRODUCT, residual
        )
        if residual:  # it learns the range it is shown
            self._index.sq.train(_ranges(items_NM, cells_N, means_CM))
        self._index.is_trained = True  # fp16 learns nothing, and the cells are already known

    def add(self, block_BM: Floats, ids_B: Rows, cells_B: Rows) -> None:
        """Add vectors under these ids to these cells."""
        _add(self._index, np.ascontiguousarray(block_BM), ids_B, cells_B)

    def done(self) -> faiss.Index:
        """The index as it is searched."""
        return self._index


class FourBits:
    """Codes of 4 bits of the space of scores; see codes_of_dims."""

    def __init__(
        self, items_NM: Floats, cells_N: NDArray[np.int32], means_CM: Floats, space: ScoreSpace
    ) -> None:
        codes_D = codes_of_dims(space.shares_GD)
        used_D = np.flatnonzero(codes_D)
        self._items_MD: Floats = np.ascontiguousarray(space.items_DM[used_D].T)
        self._twice_D = np.flatnonzero(codes_D[used_D] == len(LEFT) - 1)
        queries_DM = space.queries_DM[used_D]
        self._queries_PM = np.concatenate([queries_DM, queries_DM[self._twice_D]])
        self._means_CD: Floats = means_CM @ self._items_MD
        self.means_CM: Floats = (self._means_CD @ queries_DM).astype(np.float32)
        levels_PL = self._choose_levels(items_NM, cells_N)
        cells, codes = len(means_CM), len(self._queries_PM)
        quantizer = _quantizer(self._with_second(self._means_CD, 0))
        self._index = faiss.IndexIVFPQ(
            quantizer, codes, cells, codes, 4, faiss.METRIC_INNER_PRODUCT
        )
        self._index.by_residual = self._index.is_trained = True
        faiss.copy_array_to_vector(levels_PL.ravel(), self._index.pq.centroids)

    def _choose_levels(self, items_NM: Floats, cells_N: NDArray[np.int32]) -> Floats:
        """[P, L] of all codes; the first ones of each dim are kept, as the second need them."""
        some = slice(None, None, max(1, len(items_NM) // SAMPLE))
        sample_BD = items_NM[some] @ self._items_MD - self._means_CD[cells_N[some]]
        ranges_2D = _ranges(items_NM, cells_N, self._means_CD, self._items_MD)
        self._levels_DL = best_levels(sample_BD)
        self._levels_DL[self._twice_D] = even_levels(ranges_2D[:, self._twice_D])
        rest_BD = sample_BD[:, self._twice_D]
        return np.concatenate([self._levels_DL, best_levels(rest_BD - self._first(rest_BD))])

    def add(self, block_BM: Floats, ids_B: Rows, cells_B: Rows) -> None:
        """Add vectors under these ids to these cells."""
        items_BD = block_BM @ self._items_MD
        means_BD = self._means_CD[cells_B][:, self._twice_D]
        rest_BD = items_BD[:, self._twice_D] - means_BD
        first_BD = self._first(rest_BD)
        items_BD[:, self._twice_D] = means_BD + first_BD
        _add(self._index, self._with_second(items_BD, rest_BD - first_BD), ids_B, cells_B)

    def done(self) -> faiss.Index:
        """The packed index, behind the queries' coordinates."""
        codes, dim = self._queries_PM.shape
        fast = faiss.IndexIVFPQFastScan(self._index)  # which keeps the other: its cells are shared
        nothing = faiss.ArrayInvertedLists(self._index.nlist, self._index.code_size)
        nothing.this.disown()  # type: ignore[attr-defined]  # not in its stubs
        self._index.replace_invlists(nothing, True)
        fast.orig_invlists = nothing
        coordinates = faiss.LinearTransform(dim, codes)
        faiss.copy_array_to_vector(self._queries_PM.ravel(), coordinates.A)
        coordinates.is_trained = True
        return faiss.IndexPreTransform(coordinates, fast)

    def _first(self, rest_BD: Floats) -> Floats:
        """What the first code says of dims that have two."""
        first_BD = np.empty_like(rest_BD)
        for column, levels_L in enumerate(self._levels_DL[self._twice_D]):
            between_L = (levels_L[1:] + levels_L[:-1]) / 2
            first_BD[:, column] = levels_L[np.searchsorted(between_L, rest_BD[:, column])]
        return first_BD

    def _with_second(self, coordinates_BD: Floats, second_BD: Floats | int) -> Floats:
        codes_BP = np.empty((len(coordinates_BD), len(self._queries_PM)), np.float32)
        codes_BP[:, : coordinates_BD.shape[1]] = coordinates_BD
        codes_BP[:, coordinates_BD.shape[1] :] = second_BD
        return codes_BP


def codes_of_dims(shares_GD: Shares) -> Rows:
    """How many codes each dim has: none, one or two; all of them at most MOST times the dims.

    The worst weighting chooses next: the code that takes most off its error.
    """
    left_P, codes_D = np.array(LEFT), np.zeros(shares_GD.shape[1], np.int64)
    while codes_D.sum() < MOST * len(codes_D):
        error_G = (shares_GD * left_P[codes_D]).sum(axis=1)
        if error_G.max() <= ERROR and codes_D.sum() % EVEN == 0:
            break
        more_D = np.minimum(codes_D + 1, len(LEFT) - 1)
        gain_D = shares_GD[error_G.argmax()] * (left_P[codes_D] - left_P[more_D])
        codes_D[gain_D.argmax()] += 1
    return codes_D


def _ranges(
    items_NM: Floats,
    cells_N: NDArray[np.int32],
    means_CD: Floats,
    items_MD: Floats | None = None,
) -> Floats:
    """The least and the largest of all residuals [2, D], in these coordinates or as items are."""
    ranges_2D = np.zeros((2, means_CD.shape[1]), np.float32)
    for start in range(0, len(items_NM), BLOCK):
        block = slice(start, start + BLOCK)
        items_BD = items_NM[block] if items_MD is None else items_NM[block] @ items_MD
        residuals_BD = items_BD - means_CD[cells_N[block]]
        np.minimum(ranges_2D[0], residuals_BD.min(axis=0), out=ranges_2D[0])
        np.maximum(ranges_2D[1], residuals_BD.max(axis=0), out=ranges_2D[1])
    return ranges_2D


def _quantizer(means_CM: Floats) -> faiss.IndexFlatIP:
    quantizer = faiss.IndexFlatIP(means_CM.shape[1])
    quantizer.add(means_CM)
    return quantizer


def _add(index: faiss.IndexIVF, block_BM: Floats, ids_B: Rows, cells_B: Rows) -> None:
    index.add_core(
        len(block_BM), faiss.swig_ptr(block_BM), faiss.swig_ptr(ids_B), faiss.swig_ptr(cells_B)
    )
