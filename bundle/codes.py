"""Codes of vectors in an inverted file, and the second scoring that short ones need.

Decisions
- fp16 codes are of the vectors; those of 8 and of 4 bits a dim are of what a vector is beyond its
  cell's mean. Short codes misplace items whose scores lie close. So a reader fetches more by them
  (FETCHED), and scores those again by `item_vectors.npy`: the order and the scores of a list are
  then exact.
- The FAISS file says by itself which codes it holds, so no reader can take one for the other.
- The builder measures recall over the same two steps that the reader takes.
- A group of copies is scored once, before its items take their places in a list.
- Vectors are scored where they lie: copying them together first took four times as long.
- FETCHED was measured on a million vectors of 64 dims, at equal visits. 8 bits: 1.1 times as many
  came within .003 of the recall of fp16, 1.3 within .0011, 1.5 within .0002. 4 bits, under the
  worst weights of four draws of who shapes the space: 1.2 times as many and 48 keep .9975 to .9994
  of a list of 50, .996 to .998 of 100, .992 to .995 of 500.

    ids_L = index.search(query_1M, fetched(k, codes))[1][0]
    ids_K, scores_K = rescored(query_M, ids_L, vectors_NM, k, copies)  # where they are short

Dimension letters: M vector dims, N items, L fetched, K of a list.
"""

from __future__ import annotations

import math
from typing import Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from bundle.copies import Copies

Codes = Literal["float32", "fp16", "int8", "int4"]
Rows = NDArray[np.int64]
Floats = NDArray[np.float32]
FETCHED: dict[Codes, tuple[float, int]] = {"int8": (1.3, 16), "int4": (1.2, 48)}  # times k, more


def codes_of(index: faiss.Index) -> Codes:
    """What an index stores vectors as."""
    stored = inverted_in(index)
    if isinstance(stored, faiss.IndexIVFPQFastScan):
        return "int4"
    if not isinstance(stored, faiss.IndexIVFScalarQuantizer):
        return "float32"
    return "int8" if stored.sq.qtype == faiss.ScalarQuantizer.QT_8bit else "fp16"


def inverted_in(index: faiss.Index) -> faiss.Index:
    """The inverted file behind the queries' coordinates; itself where it has none."""
    if isinstance(index, faiss.IndexPreTransform):
        return faiss.downcast_index(index.index)
    return index


def is_short(codes: Codes) -> bool:
    """Whether what these codes find is scored again."""
    return codes in FETCHED


def fetched(k: int, codes: Codes) -> int:
    """How many to fetch by these codes for a list of k."""
    times, more = FETCHED.get(codes, (1.0, 0))
    return math.ceil(times * k) + more


def rescored(
    query_M: Floats, ids_L: Rows, vectors_NM: Floats, k: int, copies: Copies | None = None
) -> tuple[Rows, Floats]:
    """The k of these FAISS ids with the best exact scores, in order; -1 (nothing found) is last.

    Raises IndexError for an id that no vector has.
    """
    rows_L = copies.first_rows(ids_L) if copies else ids_L
    if rows_L.max(initial=-1) >= len(vectors_NM):
        raise IndexError(f"row {rows_L.max()} of {len(vectors_NM)} vectors")
    scores_L = np.empty(len(rows_L), np.float32)
    faiss.fvec_inner_products_by_idx(  # type: ignore[attr-defined]  # not in its stubs
        faiss.swig_ptr(scores_L),
        faiss.swig_ptr(query_M),
        faiss.swig_ptr(vectors_NM),
        faiss.swig_ptr(rows_L),
        *(len(query_M), 1, len(rows_L)),
    )
    scores_L[rows_L < 0] = -np.inf
    order_K = np.argsort(-scores_L, kind="stable")[:k]  # sooner than the best k, and those in order
    return ids_L[order_K], scores_L[order_K]
