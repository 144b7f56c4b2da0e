"""One trained bundle under many weights: the front that an operator moves along.

Decisions
- The walk goes from each stage's own score to the next one's (`weight_walk`): with suffix sums as
  scales, that is all there is between them.
- The log is split where the bundle's own evaluation split it. No torch.
- `sweep.csv` has one row per setting of the weights, `sweep.png` the same to look at: every
  objective along the walk, and the last two against each other.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bundle.files import write_atomically
from bundle.store import Bundle, read_bundle
from bundle.towers import open_item_tower, open_user_tower
from training.config import EvaluationConfig
from training.errors import ConfigError
from training.evaluation.trial import Trial, prepare_trial, walk
from training.logs.reader import Log, read_log
from training.logs.split import split_log

Json = dict[str, Any]
logger = logging.getLogger("training")


def sweep(release: Path, log: Path, out: Path, steps: int, k: int) -> list[Path]:
    """Judge the walk of weights on the later part of the log; writes and returns two files."""
    bundle = read_bundle(release)
    points = walk(open_judged(bundle, log, k).trial, steps)
    out.mkdir(parents=True, exist_ok=True)
    files = [out / "sweep.csv", out / "sweep.png"]
    write_atomically(files[0], _csv(points).encode())
    write_atomically(files[1], _png(points, k))
    return files


@dataclass(frozen=True)
class Judged:
    """A release before the later part of the log, and both parts."""

    train: Log
    test: Log
    trial: Trial


def open_judged(
    bundle: Bundle, log_directory: Path, k: int, max_requests: int | None = 2000
) -> Judged:
    """The bundle's towers before the part of the log that it was judged on.

    `max_requests` are judged per objective, all with None. Raises ConfigError on another log.
    """
    evaluation = json.loads((bundle.directory / "evaluation.json").read_text(encoding="utf-8"))
    log, split = read_log(log_directory), evaluation["split"]
    train, test = split_log(log, split["at_ms"])
    found = (log.spec.stages, len(train.requests), len(test.requests))
    if found != (bundle.segments.names, split["train_requests"], split["test_requests"]):
        raise ConfigError(
            f"--log: expected the log that {bundle.manifest.run_id} was trained on "
            f"({', '.join(bundle.segments.names)}; {split['train_requests']} requests before "
            f"{split['at']}, {split['test_requests']} after); {log_directory} is another"
        )
    towers = (open_user_tower(bundle), open_item_tower(bundle))
    config = EvaluationConfig(ks=[k], max_requests=max_requests or len(test.requests))
    trial = prepare_trial(train, test, bundle.schema, towers, bundle.segments, config)
    return Judged(train, test, trial)


def _csv(points: list[Json]) -> str:
    stages = list(points[0]["weights"])
    metrics = list(points[0]["objectives"][stages[0]]["all"])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [f"k_{stage}" for stage in stages]
        + [f"{stage} {metric} {mean}" for stage in stages for metric in metrics for mean in _MEANS]
    )
    for point in points:
        judged = point["objectives"]
        writer.writerow(
            list(point["weights"].values())
            + [
                judged[s]["all"][metric][mean]
                for s in stages
                for metric in metrics
                for mean in _MEANS
            ]
        )
    return text.getvalue()


def _png(points: list[Json], k: int) -> bytes:
    stages = list(points[0]["weights"])
    recall = {
        stage: [point["objectives"][stage]["all"][f"recall@{k}"]["macro"] for point in points]
        for stage in stages
    }
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for stage in stages:
        left.plot(recall[stage], marker=".", label=stage)
    leg = (len(points) - 1) // (len(stages) - 1)
    left.set_xticks(range(0, len(points), leg), [f"{stage} only" for stage in stages])
    left.set(title="Along the walk of weights", ylabel=f"recall@{k}")
    left.legend()
    first, last = stages[-2:]
    tail = slice(-leg - 1, None)
    right.plot(recall[first][tail], recall[last][tail], marker="o")
    for point in points[tail][:: max(leg // 5, 1)]:
        judged = [point["objectives"][s]["all"][f"recall@{k}"]["macro"] for s in (first, last)]
        label = f"{point['weights'][first]:.2g} : {point['weights'][last]:.2g}"
        right.annotate(label, judged, textcoords="offset points", xytext=(6, 4), fontsize=8)
    right.set(
        title=f"The front, by weight of {first} : {last}",
        xlabel=f"{first} recall@{k}",
        ylabel=f"{last} recall@{k}",
    )
    for axes in (left, right):
        axes.grid(alpha=0.3)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120, metadata={"Software": None})
    return image.getvalue()


_MEANS = ("macro", "micro")
