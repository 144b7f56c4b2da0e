"""What an index of ours costs as the catalogue grows, and what that says about far larger ones.

Decisions
- Each cost is fitted by a fixed part and a power of N, c + a·N^b, so that relative errors are
  least: without c what a call costs at any size would bend the power of small catalogues. One size
  takes no part in the fit and says how far to trust it. Building is fitted by its steps: their
  powers differ, so the sum has none of its own.
- Two builds: codes of fp16 at all sizes, and those of 4 bits from SHORT_FROM items on, where a
  build takes them by itself. These read the vectors of what they fetch: beside their index memory
  has to hold all vectors, too.
- A query has the default weights, k = 500 and the effort of the map for recall 0.95; all sizes are
  timed in turns, on one core.
- A catalogue too large for one machine is divided at random among several. Each searches its part
  with the same k, and lists are merged by score: recall stays that of the parts.
- A prediction is arithmetic on the fit: nothing of that size was run.
- What is enlarged far lies in clouds (`enlarge.py`): the larger it is, the fewer cells are visited.
  That a real catalogue need not allow. So a prediction has a second time, for as many visits as at
  the largest size: there are √N cells, so a cell's items and the time of a query grow by √N too.

Dimension letters: N items, R rounds, E sizes, Q queries, M dims.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from bundle.scoring import scale_query
from index_builder.bench.contenders.contender import Floats
from index_builder.bench.contenders.ours import DEFAULT, VARIANTS, WHOLE, read_map
from index_builder.bench.entrants import Choice, admit, chosen
from index_builder.bench.rounds import Entry, alternate
from index_builder.bench.vectors import Drawn
from index_builder.errors import InputError
from index_builder.invert import SHORT_FROM
from index_builder.progress import Phases

Draw = Callable[[int, Path], Drawn]
Row = dict[str, float]
K = 500
PREDICTED = (10**8, 10**9)
FEWEST = 3  # sizes that a fit needs, as it has three numbers, beside the one that is held out
MACHINE_GIB, USED = 64, 0.75  # of a machine's memory
STEPS = ("k-means", "fill", "calibrate")
FITTED = ("ms", "bytes", "resident", *STEPS)
EXPONENTS = np.arange(0.1, 1.505, 0.01)  # at most N·√N: every item against every cell


def measure(
    sizes: Sequence[int],
    check: int,
    draw: Draw,
    work: Path,
    rounds: int,
    clock: str,
    cores: set[int],
    phases: Phases,
) -> dict[str, object]:
    """Of both builds, in `builds`: measured sizes, fits without `check`, predictions.

    Raises InputError where a build has too few sizes to be fitted.
    """
    _refuse_few(sizes, check)
    with ExitStack() as stack:
        entries: list[Entry] = []
        rows: dict[str, list[Row]] = {WHOLE: [], DEFAULT: []}
        timed: list[Row] = []
        for items in sizes:
            with phases(f"draw {items}"):
                drawn = draw(items, _made(work / f"growth-{items}"))
            for build in _builds(items):
                entry, row = _built(build, drawn, cores, phases, stack)
                entries.append(replace(entry, clock=clock))
                timed.append({"items": items} | row)
                rows[build].append(timed[-1])
            drawn.given.items.unlink()  # who has it open reads it still
        for entry in entries:
            entry.worker.pin({min(cores)})
        with phases("time", "blocks", len(entries) * (rounds + 1)) as progress:
            seconds_RE = alternate(entries, _queries(drawn), rounds, progress)
    for row, seconds in zip(timed, np.median(seconds_RE, axis=0), strict=True):
        row["ms"] = 1000 * float(seconds)
    vector = 4 * drawn.asking_UM.shape[1]
    builds = {
        build: conclude(of_build, check, vector, vector if build == DEFAULT else 0)
        for build, of_build in rows.items()
        if of_build
    }
    return {"note": drawn.note, "builds": builds}


def _refuse_few(sizes: Sequence[int], check: int) -> None:
    """Of fp16 there are FEWEST to fit; of 4 bits too, or none at all."""
    fitted = [items for items in sizes if items != check]
    short = sum(items >= SHORT_FROM for items in fitted)
    if len(fitted) < FEWEST or 0 < short < FEWEST or (short and check < SHORT_FROM):
        raise InputError(
            "--sizes",
            "",
            found=f"{len(fitted)} to fit, {short} of them of {SHORT_FROM} items or more, beside "
            f"--check {check}",
            remedy=f"give {FEWEST} at least of each and a --check of both, or none so large",
        )


def _builds(items: int) -> tuple[Choice, ...]:
    return (WHOLE, DEFAULT) if items >= SHORT_FROM else (WHOLE,)


def conclude(rows: Sequence[Row], check: int, vector: int, held: int) -> dict[str, object]:
    """Rows as they were measured, and what follows from them.

    `vector` is an item's, in bytes; `held` are those of it that memory has to hold.
    """
    fits = {cost: fit([row for row in rows if row["items"] != check], cost) for cost in FITTED}
    held_out = [row for row in rows if row["items"] == check]
    return {
        "sizes": list(rows),
        "fits": {cost: asdict(fitted) for cost, fitted in fits.items()},
        "check": [
            {"items": check, "cost": cost, "predicted": fits[cost].at(check), "found": row[cost]}
            for row in held_out
            for cost in FITTED
        ],
        "predictions": [predict(fits, rows[-1], items, vector, held) for items in PREDICTED],
    }


@dataclass(frozen=True)
class Fit:
    """c + a·N^b."""

    fixed: float
    coefficient: float
    exponent: float

    def at(self, items: float) -> float:
        """The cost of so many items."""
        return float(self.fixed + self.coefficient * items**self.exponent)


def fit(rows: Sequence[Row], cost: str) -> Fit:
    """Of all exponents in steps of a hundredth, the one with the least relative errors."""
    items_E, costs_E = (np.array([row[name] for row in rows]) for name in ("items", cost))

    def fitted(exponent: float) -> tuple[float, Fit]:
        parts_2E = np.stack([np.ones(len(items_E)), items_E**exponent]) / costs_E
        fixed, coefficient = np.linalg.lstsq(parts_2E.T, np.ones(len(items_E)))[0]
        if fixed < 0:
            fixed, coefficient = 0.0, parts_2E[1].sum() / (parts_2E[1] ** 2).sum()
        errors_E = fixed * parts_2E[0] + coefficient * parts_2E[1] - 1
        return float((errors_E**2).sum()), Fit(float(fixed), float(coefficient), float(exponent))

    return min((fitted(each) for each in EXPONENTS), key=lambda found: found[0])[1]


def predict(
    fits: Mapping[str, Fit], largest: Row, items: int, vector: int, held: int
) -> dict[str, float]:
    """On one machine, however large, and on as many of 64 GiB as its bytes need.

    The items' own vectors lie beside the index, mapped. Of each, memory has to hold `held` bytes:
    none where they are read for few items at a time.
    """
    size = fits["bytes"].at(items)
    machines = math.ceil((size + held * items) / (MACHINE_GIB * 2**30 * USED))
    part = items / machines
    return {
        "items": items,
        "gib": size / 2**30,
        "memory_gib": (size + held * items) / 2**30,
        "disk_gib": (size + vector * items) / 2**30,
        "ms": fits["ms"].at(items),
        "steady_ms": _steady(largest, items),
        "build_hours": sum(fits[step].at(items) for step in STEPS) / 3600,
        "machines": machines,
        "part_ms": fits["ms"].at(part),
        "part_steady_ms": _steady(largest, part),
        "part_build_hours": sum(fits[step].at(part) for step in STEPS) / 3600,
    }


def _steady(largest: Row, items: float) -> float:
    """Milliseconds of a query that visits as many cells as at the largest size."""
    return largest["ms"] * math.sqrt(items / largest["items"])


def _built(
    build: Choice, drawn: Drawn, cores: set[int], phases: Phases, stack: ExitStack
) -> tuple[Entry, Row]:
    """An index of this size, opened; its costs but for the time of a query."""
    (variant,), given = chosen(VARIANTS, build), drawn.given
    work = given.items.parent
    (ours,) = admit(("ours",), given, work, build, cores, phases, stack).entrants
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
