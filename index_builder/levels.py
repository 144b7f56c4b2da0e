"""The 16 numbers that a code of 4 bits stands for, chosen for the values it stands for.

Decisions
- By Lloyd's algorithm on a sorted sample, where a level's share is a stretch and its mean a
  difference of sums. FAISS's k-means, made for many dims, stops far from it (a sixth to a half more
  error) and takes tens of times as long.

Dimension letters: B sample, M dims, L levels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
LEVELS = 16
# Until no level moves by more than this part of its dim's deviation, or after so many passes.
PASSES, SETTLED = 200, 1e-4


def even_levels(ranges_2M: Floats) -> Floats:
    """The middles [M, L], ascending, of LEVELS even parts of each dim's range [2, M]."""
    shares_L = (np.arange(LEVELS, dtype=np.float32) + 0.5) / LEVELS
    least_M1, largest_M1 = ranges_2M[..., None]
    levels_ML: Floats = least_M1 + (largest_M1 - least_M1) * shares_L
    return levels_ML


def best_levels(values_BM: Floats) -> Floats:
    """The LEVELS numbers of each dim [M, L], ascending, that its values lie nearest to."""
    if not values_BM.size:
        return np.zeros((values_BM.shape[1], LEVELS), np.float32)
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
