"""The least effort that reaches a recall in the worst direction of weights.

    point = least_effort(Recall(measure, directions=15), target=0.95, most=4096)

Decisions
- Effort is doubled until the recall is reached, then the bracket is halved on a log scale until it
  is within a twentieth: finer steps would be finer than the sample of users.
- The bracket is found in the three directions that were worst at the first effort. What is found is
  measured in all; where others miss there, the worst three of them lead the search for more.
- A recall that no effort reaches is an answer too: the largest effort and what it finds. Nothing is
  halved then: a rival whose codes are too coarse would take most of a benchmark's time.
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
        return [self._one(effort, direction) for direction in range(self.directions)]

    def led_by_worst(self, effort: int) -> list[float]:
        """Of each direction; the worst of them are the hard ones from now on."""
        recalls = self.all(effort)
        order = sorted(range(self.directions), key=lambda direction: recalls[direction])
        self.hardest = order[:HARDEST]
        return recalls

    def low(self, effort: int) -> float:
        """Of the directions that are known to be hard."""
        if not self.hardest:
            return min(self.led_by_worst(effort))
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
    while recall.low(high) >= target:
        high = _halved(recall, target, low, high)
        if high == most or min(recall.all(high)) >= target:
            break
        recall.led_by_worst(high)
        low, high = _above(recall, target, most, high)
    return point(recall, target, high)


def point(recall: Recall, target: float, effort: int) -> Point:
    """What an effort finds in all directions."""
    recalls = recall.all(effort)
    spread = max(recalls) - min(recalls)
    return Point(target, effort, min(recalls), sum(recalls) / len(recalls), spread)


def _bracket(recall: Recall, target: float, most: int, start: int) -> tuple[int, int]:
    """Efforts below and at the target; the upper one is `most` if nothing reaches it."""
    if recall.low(start) < target:
        return _above(recall, target, most, start)
    high = start
    while high > 1 and recall.low(high // 2) >= target:
        high //= 2
    return high // 2, high


def _above(recall: Recall, target: float, most: int, low: int) -> tuple[int, int]:
    """As `_bracket`, from an effort that is below the target."""
    high = min(most, 2 * low)
    while high < most and recall.low(high) < target:
        low, high = high, min(most, 2 * high)
    return low, high


def _halved(recall: Recall, target: float, low: int, high: int) -> int:
    """The upper end of a bracket, a twentieth above its lower end."""
    while high - low > 1 and high > STEP * low:
        middle = min(high - 1, max(low + 1, round(math.sqrt(low * high))))
        if recall.low(middle) >= target:
            high = middle
        else:
            low = middle
    return high
