"""What an index of ours costs as the catalogue grows, and what that says about far larger ones.

Decisions
- Each cost is fitted by a power of N over the sizes, on a log scale; one size takes no part in the
  fit and says how far to trust it. Building is fitted by its steps: their powers differ, so the sum
  has none of its own.
- A query has the default weights, k = 500 and the effort of the map for recall 0.95; all sizes are
  timed in turns, on one core.
- A catalogue too large for one machine is divided at random among several. Each searches its part
  with the same k, and lists are merged by score: recall stays that of the parts.
- A prediction is arithmetic on the fit: nothing of that size was run.

Dimension letters: N items, R rounds, E sizes, Q queries, M dims.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from bundle.scoring import scale_query
from index_builder.bench.contenders.contender import Floats
from index_builder.bench.contenders.ours import VARIANTS, read_map
from index_builder.bench.entrants import admit
from index_builder.bench.rounds import Entry, alternate
from index_builder.bench.vectors import Drawn
from index_builder.progress import Phases

Draw = Callable[[int, Path], Drawn]
Row = dict[str, float]
K = 500
PREDICTED = (10**8, 10**9)
MACHINE_GIB, USED = 64, 0.75  # of a machine's memory
STEPS = ("k-means", "fill", "effort map")
FITTED = ("ms", "bytes", "resident", *STEPS)


def measure(
    sizes: Sequence[int],
    check: int,
    draw: Draw,
    work: Path,
    rounds: int,
    cores: set[int],
    phases: Phases,
) -> dict[str, object]:
    """Measured sizes, fits without `check`, what they say about it, and predictions."""
    with ExitStack() as stack:
        entries: list[Entry] = []
        rows: list[Row] = []
        for items in sizes:
            with phases(f"draw {items}"):
                drawn = draw(items, _made(work / f"growth-{items}"))
            entry, row = _built(drawn, drawn.given.items.parent, cores, phases, stack)
            entries.append(entry)
            rows.append({"items": items} | row)
            drawn.given.items.unlink()
        for entry in entries:
            entry.worker.pin({min(cores)})
        with phases("time", "blocks", len(entries) * (rounds + 1)) as progress:
            seconds_RE = alternate(entries, _queries(drawn), rounds, progress)
    for row, seconds in zip(rows, np.median(seconds_RE, axis=0), strict=True):
        row["ms"] = 1000 * float(seconds)
    return {"note": drawn.note} | conclude(rows, check)


def conclude(rows: Sequence[Row], check: int) -> dict[str, object]:
    """Rows as they were measured, and what follows from them."""
    fits = {cost: fit([row for row in rows if row["items"] != check], cost) for cost in FITTED}
    held_out = [row for row in rows if row["items"] == check]
    return {
        "sizes": list(rows),
        "fits": {cost: {"coefficient": a, "exponent": b} for cost, (a, b) in fits.items()},
        "check": [
            {"items": check, "cost": cost, "predicted": _at(fits[cost], check), "found": row[cost]}
            for row in held_out
            for cost in FITTED
        ],
        "predictions": [predict(fits, items) for items in PREDICTED],
    }


def fit(rows: Sequence[Row], cost: str) -> tuple[float, float]:
    """a and b of a·N^b."""
    exponent, logarithm = np.polyfit(
        np.log([row["items"] for row in rows]), np.log([row[cost] for row in rows]), 1
    )
    return float(np.exp(logarithm)), float(exponent)


def predict(fits: Mapping[str, tuple[float, float]], items: int) -> dict[str, float]:
    """On one machine, however large, and on as many of 64 GiB as its bytes need."""
    size = _at(fits["bytes"], items)
    machines = math.ceil(size / (MACHINE_GIB * 2**30 * USED))
    part = items / machines
    return {
        "items": items,
        "gib": size / 2**30,
        "ms": _at(fits["ms"], items),
        "build_hours": sum(_at(fits[step], items) for step in STEPS) / 3600,
        "machines": machines,
        "part_ms": _at(fits["ms"], part),
        "part_build_hours": sum(_at(fits[step], part) for step in STEPS) / 3600,
    }


def _at(power: tuple[float, float], items: float) -> float:
    return float(power[0] * items ** power[1])


def _built(
    drawn: Drawn, work: Path, cores: set[int], phases: Phases, stack: ExitStack
) -> tuple[Entry, Row]:
    """An index of this size, opened; its costs but for the time of a query."""
    variant, given = VARIANTS[0], drawn.given
    (ours,) = admit(("ours",), given, work, False, cores, phases, stack).entrants
    effort = read_map(work / "ours" / variant.files)
    visited = effort.lookup(given.weights_S, K)
    cost = ours.costs[variant.name]
    row: Row = {"cells": effort.cells, "visited": visited}
    row |= {"bytes": cost.bytes, "resident": cost.resident}
    row |= {step: cost.build_seconds[step] for step in STEPS}
    efforts_Q = np.full(len(drawn.asking_UM), visited)
    return Entry(ours.worker, variant.name, K, efforts_Q), row


def _queries(drawn: Drawn) -> Floats:
    return scale_query(drawn.asking_UM, drawn.given.weights_S, drawn.given.segments)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory
