"""One released bundle under many weights, without training: what operators can choose from.

Decisions
- `front.csv` has a row for each weights of the grid with recall of each objective on both sides of
  the later part; `front.png` shows them; `recommended.json` has the weights for each goal.
- A release is immutable, so nothing is written into it; its own evaluation.json has the same front,
  for a grid of the default steps.
- A release that was judged on the whole later part (`validation_share` 0) is swept with the default
  share: weights must be chosen on something that their figures are not taken from.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bundle.store import read_bundle
from bundle.writing import write_atomically
from training.config import EvaluationConfig
from training.errors import ConfigError
from training.evaluation.report import Explored, explore, no_choice
from training.evaluation.trial import reopen

DEFAULTS = EvaluationConfig()


def sweep(release: Path, log: Path, out: Path, steps: int | None, k: int) -> list[Path]:
    """Judge a grid of weights on the later part of the log; writes and returns three files."""
    bundle = read_bundle(release)
    reopened = reopen(
        bundle,
        log,
        k,
        max_requests=DEFAULTS.max_requests,
        default_share=DEFAULTS.validation_share,
    )
    if reason := no_choice(reopened.validation):
        raise ConfigError(f"{release.name}: {reason}")
    explored = explore(reopened.validation, reopened.test, k, steps)
    out.mkdir(parents=True, exist_ok=True)
    files = [out / "front.csv", out / "front.png", out / "recommended.json"]
    write_atomically(files[0], _csv(explored, k).encode())
    write_atomically(files[1], _png(explored, k))
    recommended = {"run_id": bundle.manifest.run_id, "k": k, **explored.recommended()}
    write_atomically(files[2], (json.dumps(recommended, indent=1) + "\n").encode())
    return files


def _csv(explored: Explored, k: int) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    sides = ("validation", "test")
    writer.writerow(
        [f"k_{stage}" for stage in explored.settings[0].stages]
        + [f"{stage} recall@{k} {side}" for side in sides for stage in explored.objectives]
        + ["on_front", "recommended"]
    )
    for row in range(len(explored.settings)):
        point = explored.point(row)
        figures = [figure for side in sides for figure in point[side].values()]
        on_front = int(row in explored.front_F)
        writer.writerow(
            [*point["weights"].values(), *figures, on_front, " ".join(explored.goals_of(row))]
        )
    return text.getvalue()


def _png(explored: Explored, k: int) -> bytes:
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    for axes, side in zip(figure.subplots(1, 2), ("validation", "test"), strict=True):
        _draw(axes, explored, side)
        first, last = explored.objectives[-2:]
        axes.set(title=side, xlabel=f"{first} recall@{k}", ylabel=f"{last} recall@{k}")
        axes.grid(alpha=0.3)
    figure.axes[0].legend(loc="lower left")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120, metadata={"Software": None})
    return image.getvalue()


def _draw(axes: Axes, explored: Explored, side: str) -> None:
    """All lists of one side; the front that validation chose; the recommended ones by name."""
    recall_LO = explored.validation_LO if side == "validation" else explored.test_LO
    points_L2, front_F = recall_LO[:, -2:], explored.front_F
    axes.plot(*points_L2.T, ".", color="0.75", label="weights of the grid")
    axes.plot(*points_L2[front_F].T, "o-", label="front, chosen on validation")
    for row in sorted(set(explored.recommended_rows.values())):
        axes.plot(*points_L2[row], "s", color="C1")
        label = ", ".join(explored.goals_of(row))
        axes.annotate(label, points_L2[row], textcoords="offset points", xytext=(6, 4), fontsize=8)
