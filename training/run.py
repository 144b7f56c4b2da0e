"""One run, from a log to a released bundle.

Decisions
- The run's name is the log's name and a hash of the log's bytes and the configuration, so the same
  command finds its own checkpoint, or its own release, and another one can touch neither.
- The bundle is a pure function of log, configuration and code: no clock, no host, no path is in it.
  Checkpoints, TensorBoard files and the lock live beside the releases, in `.training/<run_id>/`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from bundle.files import to_json
from bundle.store import Bundle, read_bundle, seal_bundle, staged_bundle
from bundle.towers import Tower as OnnxTower
from bundle.weights import ObjectiveWeights, WeightsError
from training.card import model_card
from training.config import TrainConfig
from training.data import TrainingData, build_training_data, log_fingerprint
from training.errors import BusyError, ConfigError
from training.evaluation.trial import evaluate, prepare_trial
from training.export import check_parity, export_tower
from training.logs.reader import Log, read_log
from training.logs.split import iso, split_log, split_time
from training.progress import ProgressReport
from training.trainer import Trainer, make_deterministic

TRAINER = 2  # raised when a change of code changes what a configuration trains
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


def train_and_release(log_directory: Path, releases: Path, config: TrainConfig) -> Bundle:
    """Train, or go on training, and release; an existing release is verified and returned."""
    make_deterministic(config.threads)
    log = read_log(log_directory)
    run_id = run_identity(log, log_directory, config)
    if (releases / run_id).exists():
        logger.info("%s is released already", run_id)
        return read_bundle(releases / run_id)
    work = releases / ".training" / run_id
    with _locked(work):
        parts = split(log, config.split.test_share)
        data = build_training_data(parts.train, config.split.min_count)
        _warn_of_empty_vocabularies(data, config.split.min_count)
        weights = default_weights(config, data.stages)
        trainer = Trainer(data, config, work / "checkpoint.npz")
        if trainer.resumed:
            logger.info("resuming %s from its checkpoint", run_id)
        trainer.run(ProgressReport(work / "tensorboard"))
        release(trainer, parts, weights, releases, run_id)
    return read_bundle(releases / run_id)


def _warn_of_empty_vocabularies(data: TrainingData, min_count: int) -> None:
    for name, categories in data.schema.vocabularies.items():
        if not categories:
            logger.warning(
                "%s: nothing occurs %d times in the training part, so every value is unknown; "
                "lower split.min_count to learn from them",
                name,
                min_count,
            )


def run_identity(log: Log, log_directory: Path, config: TrainConfig) -> str:
    """`<log name>-<12 hex>`."""
    facts = [TRAINER, config.model_dump(), log_fingerprint(log_directory)]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return f"{log.spec.name}-{digest[:12]}"


def split(log: Log, test_share: float) -> Parts:
    """The log, cut where its latest `test_share` of requests begins. Raises ConfigError."""
    at_ms = split_time(log, test_share)
    train, test = split_log(log, at_ms)
    if test.events.filter(pl.any_horizontal(log.spec.stage_columns)).is_empty():
        raise ConfigError(
            f"no request from {iso(at_ms)} on has a positive of any stage, so there is nothing to "
            "judge by: split earlier (split.test_share; test_from in log.yaml)"
        )
    return Parts(log, train, test, at_ms)


def default_weights(config: TrainConfig, stages: tuple[str, ...]) -> ObjectiveWeights:
    """The configured weights, the paper's for three stages, or ones. Raises ConfigError."""
    values = PAPER_WEIGHTS if len(stages) == len(PAPER_WEIGHTS) else (1.0,) * len(stages)
    given = config.weights or dict(zip(stages, values, strict=True))
    try:
        return ObjectiveWeights.parse(given, stages)
    except WeightsError as error:
        raise ConfigError(str(error)) from None


def release(
    trainer: Trainer, parts: Parts, weights: ObjectiveWeights, releases: Path, run_id: str
) -> None:
    """Export, judge, describe, seal: all in a directory that appears whole or not at all."""
    data, segments = trainer.data, trainer.segments
    with staged_bundle(releases, run_id) as directory:
        towers, parity = _export(trainer, directory)
        trial = prepare_trial(
            parts.train,
            parts.test,
            data.schema,
            towers,
            segments,
            trainer.config.evaluation,
        )
        evaluation: Json = {
            "split": {
                "at_ms": parts.at_ms,
                "at": iso(parts.at_ms),
                "train_requests": len(parts.train.requests),
                "test_requests": len(parts.test.requests),
            },
            "parity_max_abs_error": parity,
            **evaluate(trial, weights),
        }
        card = model_card(
            run_id=run_id,
            log=parts.log,
            segments=segments,
            config=trainer.config,
            weights=weights.as_dict(),
            evaluation=evaluation,
        )
        (directory / "features.json").write_bytes(to_json(data.schema))
        (directory / "evaluation.json").write_text(json.dumps(evaluation, indent=1) + "\n")
        (directory / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        seal_bundle(
            directory,
            run_id=run_id,
            segments=segments,
            default_weights=weights.as_dict(),
            certificates=trainer.progress.certificates,
        )


def _export(trainer: Trainer, directory: Path) -> tuple[tuple[OnnxTower, OnnxTower], float]:
    """Both towers as files, checked against torch; the towers and the largest difference."""
    data, model, dim = trainer.data, trainer.model, trainer.segments.dim
    towers, worst = [], 0.0
    for tower, features, real, name in (
        (model.user, data.schema.user, data.requests, "user_tower.onnx"),
        (model.item, data.schema.item, data.items, "item_tower.onnx"),
    ):
        logger.info("exporting %s", name)
        export_tower(tower, features, data.schema, directory / name)
        worst = max(worst, check_parity(tower, features, data.schema, real, directory / name))
        towers.append(OnnxTower(directory / name, features, dim))
    return (towers[0], towers[1]), worst


@contextmanager
def _locked(work: Path) -> Iterator[None]:
    """Hold the run for this process; the lock dies with it, however it dies."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BusyError(
                f"{work}: another csmf-train works on this run; wait for it or end it"
            ) from None
        yield
