"""How many cells a search visits when only some rows pass a filter, so that recall holds.

Decisions, each measured by `python -m loadtests.reliability.filters`
- A list of k out of a share s of the rows reaches as deep as a list of k/s out of all of them, so
  that is the length to look up. Beyond the longest list measured, effort grows with the depth as it
  grew between the last two.
- That holds where filter and vectors know nothing of each other. Where they do (a category that is
  a cluster), cells at its rim pass in part, their means mislead, and more of them must be visited.
  How far a filter goes with the cells is known once it is evaluated; CAUTION times that, and less
  the more passes, kept recall at 0.95 for balls and half-spaces of 90 % to 2 % of the rows, on
  vectors of 16 and of 64 dims.
- Cells that hold no passing row are not visited and do not count; see passing.py.

Dimension letters: S stages.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bundle.effort import EffortMap

CAUTION = 4.0


def filtered_cells(
    effort: EffortMap,
    weights_S: NDArray[np.float64],
    length: int,
    share: float,
    clustering: float,
) -> int:
    """Cells that hold a passing row to visit, for a list of `length` when `share` of rows pass."""
    factor = 2 - share + CAUTION * clustering * math.sqrt(1 - share)
    return min(effort.cells, math.ceil(factor * _cells_at(effort, weights_S, length / share)))


def _cells_at(effort: EffortMap, weights_S: NDArray[np.float64], depth: float) -> float:
    """The effort map's cells, and beyond its longest list their growth carried on."""
    longest = effort.k[-1]
    if depth <= longest or len(effort.k) == 1:
        return effort.lookup(weights_S, math.ceil(depth))
    before = effort.k[-2]
    last, previous = (effort.lookup(weights_S, k) for k in (longest, before))
    growth = math.log(last / previous) / math.log(longest / before)
    cells: float = last * (depth / longest) ** growth
    return cells
