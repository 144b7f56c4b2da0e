"""A trained model becomes a bundle: exported, proven, judged, described, sealed.

Decisions
- All of it happens in a directory that appears whole or not at all.
- A bundle says what it cost but for seconds, which differ from run to run.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bundle.schema import write_schema
from bundle.store import seal_bundle, staged_bundle
from bundle.towers import Tower as OnnxTower
from bundle.weights import ObjectiveWeights, WeightsError
from training.card import model_card
from training.config import TrainConfig
from training.data import TrainingData
from training.errors import ConfigError
from training.evaluation.report import evaluate
from training.evaluation.vectors import TwoTowers
from training.export import check_parity, export_tower
from training.logs.reader import Log
from training.logs.split import iso, split_log, split_time
from training.methods.method import Served
from training.trainer import Trainer

PAPER_WEIGHTS = (1.0, 1.8, 1.2)  # <k_d, k_o, k_r>, as the paper serves them
logger = logging.getLogger("training")
Json = dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """A log and its two sides in time."""

    log: Log
    train: Log
    test: Log
    at_ms: int


@dataclass(frozen=True)
class FinishedRun:
    """What was trained, from what, and on what it is judged."""

    parts: Parts
    data: TrainingData
    config: TrainConfig
    trainer: Trainer


def split(log: Log, test_share: float) -> Parts:
    """The log, cut where its latest `test_share` of requests begins."""
    at_ms = split_time(log, test_share)
    return Parts(log, *split_log(log, at_ms), at_ms)


def default_weights(config: TrainConfig, stages: tuple[str, ...]) -> ObjectiveWeights:
    """The configured weights, the paper's for three stages, or ones. Raises ConfigError."""
    if len(stages) == 1:
        return ObjectiveWeights.parse({stages[0]: 1.0}, stages)
    values = PAPER_WEIGHTS if len(stages) == len(PAPER_WEIGHTS) else (1.0,) * len(stages)
    given = config.weights or dict(zip(stages, values, strict=True))
    try:
        return ObjectiveWeights.parse(given, stages)
    except WeightsError as error:
        raise ConfigError(str(error)) from None


def release(served: Served, run: FinishedRun, releases: Path, bundle_id: str) -> None:
    """Export, judge, describe, seal."""
    segments, config, parts = served.segments, run.config, run.parts
    weights = default_weights(config, segments.names)
    with staged_bundle(releases, bundle_id) as directory:
        towers, parity = _export(served, run.data, directory)
        judged = TwoTowers(run.data.schema, *towers, segments)
        evaluation: Json = {
            "split": {
                "at_ms": parts.at_ms,
                "at": iso(parts.at_ms),
                "train_requests": len(parts.train.requests),
                "test_requests": len(parts.test.requests),
            },
            "parity_max_abs_error": parity,
            "cost": _cost(served, run.trainer),
            **evaluate(parts.train, parts.test, judged, weights, config.evaluation),
        }
        card = model_card(
            run_id=bundle_id,
            log=parts.log,
            segments=segments,
            config=config,
            weights=weights.as_dict(),
            evaluation=evaluation,
        )
        write_schema(directory, run.data.schema)
        (directory / "evaluation.json").write_text(json.dumps(evaluation, indent=1) + "\n")
        (directory / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        seal_bundle(
            directory,
            run_id=bundle_id,
            segments=segments,
            default_weights=weights.as_dict(),
            certificates=served.certificates,
        )


def _cost(served: Served, trainer: Trainer) -> Json:
    """What serving and training cost, but for seconds: those differ from run to run."""
    phases = [asdict(each) for each in trainer.progress.costs]
    towers = (served.user, served.item)
    return {
        "dims": served.segments.dim,
        "parameters": sum(each.numel() for tower in towers for _, each in tower.named_parameters()),
        "trained_parameters": sum(each.numel() for each in trainer.method.network.parameters()),
        "examples": sum(each["examples"] for each in phases),
        "phases": [{key: each[key] for key in each if key != "seconds"} for each in phases],
    }


def _export(
    served: Served, data: TrainingData, directory: Path
) -> tuple[tuple[OnnxTower, OnnxTower], float]:
    """Both towers as files, checked against torch; the towers and the largest difference."""
    towers, worst = [], 0.0
    for tower, features, real, name in (
        (served.user, data.schema.user, data.requests, "user_tower.onnx"),
        (served.item, data.schema.item, data.items, "item_tower.onnx"),
    ):
        logger.info("exporting %s", name)
        path, dim = directory / name, served.segments.dim
        export_tower(tower, features, data.schema, path)
        worst = max(worst, check_parity(tower, features, data.schema, real, path, dim))
        towers.append(OnnxTower(path, features, dim))
    return (towers[0], towers[1]), worst
