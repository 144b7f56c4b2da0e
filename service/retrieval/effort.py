"""How many cells a search visits when only some rows pass a filter, so that recall holds.

Decisions, each measured by `python -m loadtests.reliability.filters`
- A list of k out of a share s of the rows reaches as deep as a list of k/s out of all of them, so
  that is the length to look up. Beyond the longest list measured, effort grows with the depth as it
  grew between the last two.
- That holds where filter and vectors know nothing of each other. Where they do (a category that is
  a cluster) the query ranks the passing cells less well, and 1 - s more is visited; at the default
  target this keeps recall at 0.95 for half-spaces and balls of 90 % to 2 % of the rows.
- Cells that hold no passing row are not visited and do not count; see passing.py.

Dimension letters: S stages.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bundle.effort import EffortMap


def filtered_cells(
    effort: EffortMap, weights_S: NDArray[np.float64], length: int, share: float
) -> int:
    """Cells that hold a passing row to visit, for a list of `length` when `share` of rows pass."""
    wanted = (2 - share) * _cells_at(effort, weights_S, length / share)
    return min(effort.cells, math.ceil(wanted))


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
