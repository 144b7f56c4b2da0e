"""Weights for one trained bundle: a grid, its front, and a recommendation for each goal.

Decisions
- The grid is all weights that sum to 1, in equal steps. As scales of Eq. 8 these are all directions
  (1, a, b) with 1 ≥ a ≥ b ≥ 0: suffix sums never increase, so there is nothing else to choose.
- A goal keeps one stage within 2 % of its best list and takes what is best for the last two of the
  others; `balanced` keeps nothing. For two numbers at once, best is the largest product.
- Everything here is chosen on the validation side. Figures of what was chosen come from the test
  side, and may well be below what validation promised.

Dimension letters: L lists (weights of the grid), O objectives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from bundle.weights import ObjectiveWeights
from training.evaluation.front import on_front
from training.evaluation.metrics import Floats, Rows

LARGEST_GRID = 70
MOST_STEPS = 20
TOLERATED = 0.02  # of the best recall


@dataclass(frozen=True)
class Goal:
    """Keep one stage's recall, if any, near its best; raise the product of others'."""

    name: str
    kept: str | None
    raised: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """For operators."""
        most = "most " + " and ".join(f"{stage}s" for stage in self.raised)
        if self.kept is None:
            return f"{most}, each relative to its best list"
        return f"at most {TOLERATED:.0%} fewer {self.kept}s than the best list, {most}"

    def choose(self, recall_LO: Floats, stages: Sequence[str]) -> int:
        """The list to take; of equal ones the first."""
        share_LO = recall_LO / np.maximum(recall_LO.max(axis=0), np.finfo(float).tiny)
        value_L = share_LO[:, [stages.index(stage) for stage in self.raised]].prod(axis=1)
        if self.kept is not None:
            value_L[share_LO[:, stages.index(self.kept)] < 1 - TOLERATED] = -1
        return int(value_L.argmax())


def goals(stages: Sequence[str]) -> list[Goal]:
    """What an operator may want of a cascade of two stages and more."""
    last_two = tuple(stages[-2:])
    kept = [*([stages[0]] if len(stages) > 2 else []), *last_two]
    return [
        Goal("balanced", None, last_two),
        *(
            Goal(f"keep_{stage}", stage, tuple(each for each in last_two if each != stage))
            for stage in kept
        ),
    ]


def weight_grid(stages: Sequence[str], steps: int | None = None) -> list[ObjectiveWeights]:
    """All weights in steps of 1/steps that sum to 1; by default as fine as 70 points allow."""
    parts, steps = len(stages), steps or _steps(len(stages))
    bars = combinations(range(steps + parts - 1), parts - 1)
    counts = [np.diff([-1, *each, steps + parts - 1]) - 1 for each in bars]
    return [
        ObjectiveWeights.parse(
            {
                stage: round(float(count) / steps, 6)
                for stage, count in zip(stages, each, strict=True)
            },
            stages,
        )
        for each in reversed(counts)
    ]


def _steps(stages: int) -> int:
    fitting = (n for n in range(MOST_STEPS, 0, -1) if comb(n + stages - 1, n) <= LARGEST_GRID)
    return next(fitting)


def front_rows(recall_LO: Floats) -> Rows:
    """Rows of the lists on the front of the last two objectives, from one end to the other."""
    rows_F = np.flatnonzero(on_front(recall_LO[:, -2:]))
    return rows_F[np.argsort(-recall_LO[rows_F, -2])]
