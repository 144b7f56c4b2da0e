"""Of what was seen in a long run: do memory, open files and latency stay flat?

Decisions
- Memory, summed over workers, is compared between the second quarter and the last: in the first one
  every kind of buffer is asked for once. The slope is that of a line through these three quarters.
- Open files are compared at their fewest in these two quarters, since connections come and go.
- Latency is compared between the first quarter and the last, by the p99 of their middle minute: on
  a machine that is shared some minutes belong to others, and a worker at 70% of what it can do has
  no room for that. A service that slows down does so in all minutes. How far chance, and whatever
  else the machine does, moves this is told by drawing the minutes of both quarters anew: nine in
  ten draws lie between the two bounds. The p99 of all requests of a quarter is given, too.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 400


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
        return float(np.percentile(self.milliseconds, percent))


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


def latency(slices: Sequence[Slice], chance: random.Random) -> dict[str, float]:
    """The p99 of the first and the last quarter, and what chance makes of their difference."""
    quarter = len(slices) // 4
    parts = slices[:quarter], slices[-quarter:]
    first, last = ([each.percentile(99) for each in part if each.milliseconds] for part in parts)
    drifts = sorted(
        statistics.median(chance.choices(last, k=quarter))
        / statistics.median(chance.choices(first, k=quarter))
        - 1
        for _ in range(DRAWS)
    )
    before, after = statistics.median(first), statistics.median(last)
    return {
        "p50_ms": round(_merged(slices).percentile(50), 2),
        "p99_ms_first_quarter": round(before, 2),
        "p99_ms_last_quarter": round(after, 2),
        "p99_drift": round(after / before - 1, 4),
        "p99_drift_at_least": round(drifts[DRAWS // 20], 4),
        "p99_drift_at_most": round(drifts[-DRAWS // 20], 4),
        "p99_ms_of_all_first_quarter": round(_merged(parts[0]).percentile(99), 2),
        "p99_ms_of_all_last_quarter": round(_merged(parts[1]).percentile(99), 2),
    }


def _merged(slices: Sequence[Slice]) -> Slice:
    return Slice(slices[-1].second, [ms for each in slices for ms in each.milliseconds])
