"""Of what was seen in a long run: do memory, open files and latency stay flat?

Decisions
- Memory, summed over workers, is compared between the second quarter and the last: in the first one
  every kind of buffer is asked for once. The slope is that of a line through these three quarters.
- Open files are compared at their fewest in these two quarters, since connections come and go.
- Latency is given by quarters: the p99 of their middle minute, and of all their requests. Whether
  the service got slower is not told from these but side by side with one that just started
  (`ageing.py`): on a machine that is shared, some minutes belong to others.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Look:
    """At all workers together, in bytes, and at the machine, at a second of the run."""

    second: float
    resident: int
    proportional: int
    files: int
    probe_ms: float  # for a fixed piece of work


@dataclass(frozen=True)
class Slice:
    """The answers to what was due in one part of the run."""

    second: float  # its end
    milliseconds: list[float]

    def percentile(self, percent: int) -> float:
        """Of the time of an answer."""
        return percentile(self.milliseconds, percent)


def growth(looks: Sequence[Look]) -> dict[str, float]:
    """Of memory and files, after the first quarter."""
    quarter = len(looks) // 4
    second, last, settled = looks[quarter : 2 * quarter], looks[-quarter:], looks[quarter:]
    hours = [look.second / 3600 for look in settled]
    found: dict[str, float] = {}
    for name in ("resident", "proportional"):
        before, after = (statistics.median(getattr(look, name) for look in part)
                         for part in (second, last))  # fmt: skip
        sizes = [getattr(look, name) / 2**20 for look in settled]
        found |= {
            f"{name}_mb": round(after / 2**20, 1),
            f"{name}_growth": round(after / before - 1, 4),
            f"{name}_mb_per_hour": round(statistics.linear_regression(hours, sizes).slope, 2),
        }
    before, after = (min(look.files for look in part) for part in (second, last))
    return found | {"files": after, "files_growth": after - before}


def latency(slices: Sequence[Slice]) -> dict[str, float]:
    """The median, and the p99 of each quarter: of its middle minute, of all its requests."""
    quarter = len(slices) // 4
    figures = {"p50_ms": round(_merged(slices).percentile(50), 2)}
    for place, name in enumerate(("first", "second", "third", "last")):
        part = slices[place * quarter : (place + 1) * quarter]
        minutes = [each.percentile(99) for each in part if each.milliseconds]
        figures |= {
            f"p99_ms_{name}_quarter": round(statistics.median(minutes), 2),
            f"p99_ms_of_all_{name}_quarter": round(_merged(part).percentile(99), 2),
        }
    return figures


def percentile(values: Sequence[float], percent: int) -> float:
    """Of the values; none is not a number."""
    return float(np.percentile(values, percent)) if values else float("nan")


def _merged(slices: Sequence[Slice]) -> Slice:
    return Slice(slices[-1].second, [ms for each in slices for ms in each.milliseconds])
