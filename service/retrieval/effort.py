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
- Under pressure a search may visit fewer cells, but only so few that the recall measured there, at
  the length looked up, is no less than the floor. What was not measured is not reduced.

Dimension letters: S stages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.effort import EffortMap

CAUTION = 4.0


@dataclass(frozen=True)
class Effort:
    """How thoroughly to search: a share of the cells that recall needs, and the recall to keep."""

    share: float = 1.0
    floor: float = 0.0


FULL = Effort()


def share_of_cells(
    effort: EffortMap, weights_S: NDArray[np.float64], length: float, wanted: Effort
) -> float:
    """The least measured share, from the one wanted on, at which recall is at the floor; or 1."""
    if wanted.share == 1 or length > effort.k[-1]:
        return 1.0
    for share in sorted(effort.shares):
        recall = effort.recall(weights_S, math.ceil(length), share)
        if share >= wanted.share and recall >= wanted.floor:
            return share
    return 1.0


def filtered_cells(
    effort: EffortMap,
    weights_S: NDArray[np.float64],
    length: int,
    share: float,
    clustering: float,
    *,
    measured: bool = False,
) -> int:
    """Cells that hold a passing row to visit, for a list of `length` when `share` of rows pass.

    `measured`: none of lengths between those that were measured.
    """
    factor = 2 - share + CAUTION * clustering * math.sqrt(1 - share)
    cells = _cells_at(effort, weights_S, length / share, measured=measured)
    return min(effort.cells, math.ceil(factor * cells))


def _cells_at(
    effort: EffortMap, weights_S: NDArray[np.float64], depth: float, *, measured: bool
) -> float:
    """The effort map's cells, and beyond its longest list their growth carried on."""
    longest = effort.k[-1]
    if depth <= longest or len(effort.k) == 1:
        return effort.lookup(weights_S, math.ceil(depth), measured=measured)
    before = effort.k[-2]
    last, previous = (effort.lookup(weights_S, k) for k in (longest, before))
    growth = math.log(last / previous) / math.log(longest / before)
    cells: float = last * (depth / longest) ** growth
    return cells
