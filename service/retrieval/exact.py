"""The exact best scores of a query, for whoever judges a search: no cells, no codes, no hurry.

Decisions
- What is eligible is what a search may find: rows that pass the filter and are not excluded, and of
  an index with a delta beside it what is shown of it and the items of the delta.
- Vectors are read where they are mapped, block by block, and after each block the caller may rest.
- Scores are enough: a list is judged by score, so that ties are fair.

Dimension letters: M vector dims, N rows of an index and its delta, B rows of a block, K retrieved,
X excluded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from service.retrieval.fresh import FreshIndex
from service.retrieval.index import ItemIndex
from service.retrieval.passing import Passing
from service.retrieval.rows import Floats, Rows

BLOCK = 16_384  # rows: a fraction of a millisecond


def exact_scores(
    index: ItemIndex | FreshIndex,
    query_M: Floats,
    k: int,
    excluded_X: Rows,
    passing: Passing | None,
    rest: Callable[[], None],
) -> Floats:
    """The min(k, eligible rows) largest scores, best first."""
    eligible_N = _eligible(index, excluded_X, passing)
    best_K = np.empty(0, np.float32)
    for start, block_BM in _blocks(index):
        scores_B = block_BM @ query_M
        scores_B = scores_B[eligible_N[start : start + len(scores_B)]]
        if len(best_K) == k:
            scores_B = scores_B[scores_B > best_K[-1]]
        best_K = -np.sort(-np.concatenate([best_K, scores_B]))[:k]
        rest()
    return best_K


def _blocks(index: ItemIndex | FreshIndex) -> Iterator[tuple[int, Floats]]:
    base = index.base if isinstance(index, FreshIndex) else index
    count = len(base.ids_N)
    for start in range(0, count, BLOCK):
        yield start, base.vectors_NM[start : start + BLOCK]
    if isinstance(index, FreshIndex):
        yield count, index.vectors_DM


def _eligible(
    index: ItemIndex | FreshIndex, excluded_X: Rows, passing: Passing | None
) -> NDArray[np.bool_]:
    if isinstance(index, FreshIndex):
        passing, count = passing or index.everything, len(index.base.ids_N)
    else:
        count = len(index.ids_N)
    if passing is None:
        eligible_N = np.ones(count, bool)
    else:
        eligible_N = np.unpackbits(passing.bits_N, count=count, bitorder="little").astype(bool)
        if passing.beside_D is not None:
            eligible_N = np.concatenate([eligible_N, passing.beside_D])
    eligible_N[excluded_X] = False
    return eligible_N
