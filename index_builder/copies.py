"""Finds the items whose vectors are identical, bit for bit.

Decisions
- Vectors are compared by a hash of 64 bits first, block by block: 8 bytes of memory an item. What
  has the hash of others is then compared with them bit by bit; one that only shares the hash stays
  alone, and is searched like any other.
- Few equal items are left as they are: to find them in a group takes a search longer than to score
  each of them.

Dimension letters: N items, M vector dims, B block, R rows that are in a group, G groups.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bundle.copies import Copies

Floats = NDArray[np.float32]
BLOCK = 65_536
FEWEST = 32  # at most 16 groups in a list of 500


def find_copies(items_NM: Floats) -> Copies | None:
    """The groups of FEWEST items or more, by their first row; None where there are none."""
    hashes_N = _hashes(items_NM)
    values, counts = np.unique(hashes_N, return_counts=True)
    rows_R = np.flatnonzero(np.isin(hashes_N, values[counts >= FEWEST]))
    rows_R = rows_R[np.argsort(hashes_N[rows_R], kind="stable")]
    borders = np.flatnonzero(np.diff(hashes_N[rows_R])) + 1
    groups = [_equal_to_first(items_NM, rows) for rows in np.split(rows_R, borders)]
    groups = sorted((rows for rows in groups if len(rows) >= FEWEST), key=lambda rows: rows[0])
    if not groups:
        return None
    starts_G1 = np.append(0, np.cumsum([len(rows) for rows in groups]))
    return Copies(len(items_NM), starts_G1, np.concatenate(groups).astype(np.int32))


def _hashes(items_NM: Floats) -> NDArray[np.uint64]:
    """One per item: the sum of its components' bits, each times an odd number of its own."""
    rng = np.random.default_rng(0)
    odd_M = rng.integers(0, 2**64, items_NM.shape[1], dtype=np.uint64) | np.uint64(1)
    hashes_N = np.empty(len(items_NM), np.uint64)
    for start in range(0, len(items_NM), BLOCK):
        bits_BM = np.ascontiguousarray(items_NM[start : start + BLOCK]).view(np.uint32)
        hashes_N[start : start + BLOCK] = bits_BM.astype(np.uint64) @ odd_M
    return hashes_N


def _equal_to_first(items_NM: Floats, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the rows whose vector is that of the first one, read in blocks."""
    if not len(rows):
        return rows
    first_M = np.ascontiguousarray(items_NM[rows[0]]).view(np.uint32)
    equal = [
        (np.ascontiguousarray(items_NM[block]).view(np.uint32) == first_M).all(axis=1)
        for block in np.split(rows, range(BLOCK, len(rows), BLOCK))
    ]
    same: NDArray[np.int64] = rows[np.concatenate(equal)]
    return same
