"""Inner products as distances, for graphs: one dimension more, in which all items become as long.

Decisions
- An item gets √(max‖x‖² - ‖x‖²), a query 0 (Bachrach et al. 2014): then the nearest items are those
  of largest inner product. A graph of raw inner products links items to long ones instead of near
  ones; over trained vectors it finds a third of a list, whatever its effort.
- Whatever searches by inner product raw says `ip`, by this `l2`.
- Zeros fill the vectors up to a multiple of dims where a library is slow without (FAISS's fp16: 8).

Dimension letters: N items, M vector dims, X = M + 1, or the next multiple.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from index_builder.bench.contenders.contender import Floats


def dims(dim: int, space: str, multiple: int = 1) -> int:
    """X for `l2`, M for `ip`."""
    return dim if space == "ip" else -(-(dim + 1) // multiple) * multiple


def extended(items_NM: Floats, space: str, multiple: int = 1) -> Floats:
    """[N, X] for `l2`, [N, M] as they are for `ip`."""
    if space == "ip":
        return np.array(items_NM)
    count, dim = items_NM.shape
    items_NX = np.zeros((count, dims(dim, space, multiple)), np.float32)
    items_NX[:, :dim] = items_NM
    squares_N = np.square(items_NM).sum(axis=1)
    items_NX[:, dim] = np.sqrt(squares_N.max() - squares_N)
    return items_NX


def extending(dim: int, space: str, multiple: int = 1) -> Callable[[Floats], Floats]:
    """What does the same to a query [M], without a copy of its own."""
    if space == "ip":
        return lambda query_M: query_M
    query_X = np.zeros(dims(dim, space, multiple), np.float32)

    def extend(query_M: Floats) -> Floats:
        query_X[:dim] = query_M
        return query_X

    return extend
