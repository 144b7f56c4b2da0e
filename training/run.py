"""One run, from a log to a released bundle, or to one per objective where a method needs that.

Decisions
- The run's name is the log's name and a hash of the log's bytes and the configuration, so the same
  command finds its own checkpoint, or its own release, and another one can touch neither. Rivals
  of CSMF have their name in it too.
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
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from bundle.store import Bundle, read_bundle
from bundle.writing import STAGING_PREFIX, write_atomically
from training.config import TrainConfig
from training.data import TrainingData, build_training_data, log_fingerprint
from training.errors import BusyError, ConfigError
from training.evaluation.questions import ask
from training.logs.reader import Log, read_log
from training.methods.registry import build_method, served_names
from training.progress import ProgressReport
from training.release import FinishedRun, default_weights, release, split
from training.trainer import Trainer, make_deterministic

TRAINER = 5  # raised when a change of code changes what a configuration trains
logger = logging.getLogger("training")
Json = dict[str, Any]


def train_and_release(
    log_directory: Path, releases: Path, config: TrainConfig
) -> tuple[Bundle, ...]:
    """Train, or go on training, and release; existing releases are verified and returned."""
    make_deterministic(config.threads)
    log = read_log(log_directory)
    for finding in log.report.findings:
        logger.warning("%s", finding)
    fingerprint = log_fingerprint(log_directory)
    run_id = run_identity(log, fingerprint, config)
    ids = [_joined(run_id, name) for name in served_names(config, log.spec.stages)]
    if all((releases / each).exists() for each in ids):
        logger.info("%s is released already", run_id)
        return tuple(read_bundle(releases / each) for each in ids)
    work = releases / ".training" / run_id
    with _locked(work):
        parts = split(log, config.split.test_share)
        ask(parts.train, parts.test, config.evaluation)  # refused before training
        data = build_training_data(parts.train, config.split.min_count)
        require_positives(data)
        _warn_of_empty_vocabularies(data, config.split.min_count)
        default_weights(config, data.stages)  # what is wrong with them is said before training
        trainer = Trainer(
            build_method(data, config),
            work / "checkpoint.npz",
            every=config.checkpoint_every,
            pretrained=partial(_exposure_model, work.parent, fingerprint, config),
        )
        if trainer.resumed:
            logger.info("resuming %s from its checkpoint", run_id)
        trainer.run(ProgressReport(work / "tensorboard"))
        write_atomically(work / "costs.json", _costs(trainer).encode())
        finished = FinishedRun(parts, data, config, trainer)
        for name, served in trainer.method.served().items():
            if not (releases / _joined(run_id, name)).exists():
                release(served, finished, releases, _joined(run_id, name))
    return tuple(read_bundle(releases / each) for each in ids)


def _joined(run_id: str, name: str) -> str:
    """The id of one of a run's bundles."""
    return f"{run_id}-{name}" if name else run_id


def require_positives(data: TrainingData) -> None:
    """Raise ConfigError if a stage has nothing to learn from."""
    for stage, positives in zip(data.stages, data.positives, strict=True):
        if not len(positives):
            raise ConfigError(
                f"stage {stage!r} has no positives in the training part of the log: train on a "
                "longer log, split later (split.test_share), or leave the stage out of the cascade"
            )


def _warn_of_empty_vocabularies(data: TrainingData, min_count: int) -> None:
    for name, categories in data.schema.vocabularies.items():
        if not categories:
            logger.warning(
                "%s: nothing occurs %d times in the training part, so every value is unknown; "
                "lower split.min_count to learn from them",
                name,
                min_count,
            )


def run_identity(log: Log, fingerprint: str, config: TrainConfig) -> str:
    """`<log name>-<12 hex>`, and for rivals `<log name>-<method>-<12 hex>`."""
    method = "" if config.method.kind == "csmf" else f"{config.method.name}-"
    digest = _digest(config.model_dump(), fingerprint)
    return f"{log.spec.name}-{method}{digest}"


def _exposure_model(training: Path, fingerprint: str, config: TrainConfig, seed: int) -> Path:
    """The file of a run's exposure model, or of that of another seed."""
    seeded = config.model_copy(update={"seed": seed})
    return training / f"{pretraining_identity(fingerprint, seeded)}.npz"


def pretraining_identity(fingerprint: str, config: TrainConfig) -> str:
    """`exposure-<12 hex>` over all that the exposure model depends on."""
    whole = config.model_dump()
    used = {key: whole[key] for key in ("seed", "threads", "model", "split", "first", "sampling")}
    del used["model"]["segments"]
    return f"exposure-{_digest(used, fingerprint)}"


def _digest(settings: Json, fingerprint: str) -> str:
    facts = [TRAINER, settings, fingerprint]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _costs(trainer: Trainer) -> str:
    return json.dumps([asdict(each) for each in trainer.progress.costs], indent=1) + "\n"


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
        for left in work.glob(f"{STAGING_PREFIX}*"):  # by a run that was killed while it wrote
            left.unlink()
        yield
