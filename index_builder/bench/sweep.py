"""The least effort that reaches a recall in the worst direction of weights.

    point = least_effort(Recall(measure, directions=15), target=0.95, most=4096)

Decisions
- Effort is doubled until the recall is reached, then the bracket is halved on a log scale until it
  is within a twentieth: finer steps would be finer than the sample of users.
- The bracket is found in the three directions that were worst at the first effort; what is found is
  measured in all directions, and grows by a twentieth until it holds there.
- A recall that no effort reaches is an answer too: the largest effort and what it finds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

STEP = 1.05
HARDEST = 3
Measure = Callable[[int, int], float]  # effort, direction → recall


@dataclass
class Recall:
    """Recall by effort and direction; measured when asked for, once."""

    measure: Measure
    directions: int
    known: dict[tuple[int, int], float] = field(default_factory=dict)
    hardest: list[int] = field(default_factory=list)

    def all(self, effort: int) -> list[float]:
        """Of each direction."""
        recalls = [self._one(effort, direction) for direction in range(self.directions)]
        if not self.hardest:
            order = sorted(range(self.directions), key=lambda direction: recalls[direction])
            self.hardest = order[:HARDEST]
        return recalls

    def low(self, effort: int) -> float:
        """Of the directions that are known to be hard."""
        if not self.hardest:
            return min(self.all(effort))
        return min(self._one(effort, direction) for direction in self.hardest)

    def _one(self, effort: int, direction: int) -> float:
        if (effort, direction) not in self.known:
            self.known[effort, direction] = self.measure(effort, direction)
        return self.known[effort, direction]


@dataclass(frozen=True)
class Point:
    """An effort and what it finds; `reached` says whether that is the target."""

    target: float
    effort: int
    worst: float
    mean: float
    spread: float

    @property
    def reached(self) -> bool:
        """Whether the worst direction is at the target."""
        return self.worst >= self.target


def least_effort(recall: Recall, target: float, most: int, start: int = 8) -> Point:
    """The least of 1 … most, within a twentieth, with which all directions reach the target."""
    low, high = _bracket(recall, target, most, max(1, min(start, most)))
    while high - low > 1 and high > STEP * low:
        middle = min(high - 1, max(low + 1, round(math.sqrt(low * high))))
        if recall.low(middle) >= target:
            high = middle
        else:
            low = middle
    while (found := point(recall, target, high)).worst < target and high < most:
        high = min(most, math.ceil(STEP * high) + (high < 2))
    return found


def point(recall: Recall, target: float, effort: int) -> Point:
    """What an effort finds in all directions."""
    recalls = recall.all(effort)
    spread = max(recalls) - min(recalls)
    return Point(target, effort, min(recalls), sum(recalls) / len(recalls), spread)


def _bracket(recall: Recall, target: float, most: int, start: int) -> tuple[int, int]:
    """Efforts below and at the target; the upper one is `most` if nothing reaches it."""
    low, high = 0, start
    if recall.low(high) >= target:
        while high > 1 and recall.low(high // 2) >= target:
            high //= 2
        return high // 2, high
    while high < most and recall.low(high) < target:
        low, high = high, min(most, 2 * high)
    return low, high
