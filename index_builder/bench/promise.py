"""The effort map's promise, held by users it never saw, on its grid and off it.

Decisions
- Off the grid are weights that no lattice of a simplex has: all orders of 100 : 1 : 0.01, one
  objective alone beside a whisper of another, and random ones, a third of them with a zero.
- Users are fresh: they shaped no cell, calibrated no effort, and no sweep was made with them.

Dimension letters: G directions, S stages, U users, K list.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from bundle.effort import EffortMap
from index_builder.bench.questions import Questions, ask
from index_builder.bench.vectors import Drawn
from index_builder.bench.worker import Worker
from index_builder.grid import weight_directions

RANDOM = 12
EXTREME = 100.0  # to one, and one to its inverse


def promise(
    drawn: Drawn, worker: Worker, variant: str, effort: EffortMap, lengths: Sequence[int]
) -> list[dict[str, object]]:
    """Per list length: least, mean and spread of recall over weights on the grid, and off it."""
    stages = len(drawn.given.segments.names)
    grid_GS = weight_directions(stages)
    weights_GS = np.concatenate([grid_GS, off_grid(stages)])
    questions = ask(drawn.given, drawn.fresh_UM, weights_GS, lengths)
    rows: list[dict[str, object]] = []
    for k in lengths:
        recalls = by_map(questions, worker, variant, effort, k)
        on, off = recalls[: len(grid_GS)], recalls[len(grid_GS) :]
        worst = int(np.argmin(off))
        rows.append(
            {
                "k": k,
                "target": effort.target_recall,
                "users": len(drawn.fresh_UM),
                "on_grid": _summary(on),
                "off_grid": _summary(off) | {"weights": len(off)},
                "worst_weights": weights_GS[len(grid_GS) + worst].tolist(),
            }
        )
    return rows


def off_grid(stages: int) -> NDArray[np.float64]:
    """Weights [G, S] between the points of the grid and far beyond its steps."""
    extremes = EXTREME ** np.linspace(1, -1, stages)
    ordered = list(permutations(extremes.tolist()))
    whisper = 0.01 * np.ones((stages, stages)) * np.roll(np.eye(stages), 1, axis=1)
    rng = np.random.default_rng(0)
    random = rng.dirichlet(np.ones(stages), RANDOM)
    some = np.arange(0, RANDOM, 3)
    random[some, rng.integers(stages, size=len(some))] = 0
    return np.concatenate([ordered, np.eye(stages) + whisper, random])


def by_map(
    questions: Questions, worker: Worker, variant: str, effort: EffortMap, k: int
) -> list[float]:
    """Recall of each direction, at the effort that the map gives it."""
    recalls = []
    for direction, weights_S in enumerate(questions.directions_GS):
        queries_UM = questions.queries_QM[questions.of(direction)]
        efforts_U = np.full(len(queries_UM), effort.lookup(weights_S, k))
        rows_UK = worker.search(variant, queries_UM, k, efforts_U)
        recalls.append(questions.recall(direction, rows_UK))
    return recalls


def _summary(recalls: Sequence[float]) -> dict[str, float]:
    worst, mean = min(recalls), float(np.mean(recalls))
    return {"worst": worst, "mean": mean, "spread": max(recalls) - worst}
