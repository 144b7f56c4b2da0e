"""One run of the study: train a variant on a log with a seed, judge it, keep what was found.

Decisions
- What a run leaves is one file of arrays, `judged/<variant>-<seed>.npz`, with a JSON record in it.
  A run whose file exists is not repeated; bundles are found again by their names. The file says by
  which configuration it was trained: one of another is refused, not shown under this one's name.
- Fronts are judged on both sides: per list on validation, where points are chosen; per list and
  query on test, where they are reported and drawn again for intervals. So are a method's own lists,
  as a front called `lists`.

Dimension letters: L lists, O objectives, Q queries.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bundle.store import Bundle
from bundle.writing import write_atomically
from training.config import EvaluationConfig, TrainConfig
from training.errors import ConfigError
from training.evaluation.metrics import Floats, Rows
from training.evaluation.questions import Questions
from training.logs.reader import read_log
from training.logs.split import split_log
from training.paper.contender import open_contender
from training.paper.provenance import provenance
from training.paper.study import Variant
from training.presets import load_config
from training.run import TRAINER, train_and_release

FRONT_K = 50
OWN_LISTS = "lists"
QUESTIONS = EvaluationConfig(max_requests=4000)  # fewer leave leads of 1 % within noise
Json = dict[str, Any]


@dataclass(frozen=True)
class FoundFront:
    """Lists to choose from: per list on validation, per list and query on test."""

    labels: tuple[str, ...]
    validation_LO: Floats
    test_LOQ: Floats


@dataclass(frozen=True)
class Found:
    """What one run found."""

    metrics: Json  # list → objective → slice → metric → macro, micro; on test
    validation: Json  # the same on validation
    objectives: Json  # counts of the test side
    costs: Json
    user_Q: Rows
    fronts: dict[str, FoundFront]
    config: str = ""  # hash of what it was trained by
    made: str = ""  # when, by which commit, where


def judged_file(work: Path, variant: Variant, seed: int) -> Path:
    """Where a run's findings are kept."""
    name = re.sub(r"[^a-z0-9.]+", "-", variant.name.lower()).strip("-")
    return work / "judged" / f"{name}-{seed}.npz"


def run_variant(
    log: Path, work: Path, variant: Variant, seed: int, settings: Sequence[str]
) -> Path:
    """Train, judge and keep, unless that has been done; `settings` are the log's and the tuned."""
    file = judged_file(work, variant, seed)
    if was_judged(work, variant, seed, settings):
        return file
    bundles = train_and_release(log, work / "releases", _config(variant, seed, settings))
    found = judge(bundles, log, work / "releases")
    save_found(file, replace(found, config=configured(variant, seed, settings), made=provenance()))
    _forget_checkpoint(bundles, work / "releases")
    return file


def was_judged(work: Path, variant: Variant, seed: int, settings: Sequence[str]) -> bool:
    """Whether a run need not be made. Raises ConfigError if it was made by other settings."""
    file = judged_file(work, variant, seed)
    if not file.exists():
        return False
    with np.load(file, allow_pickle=False) as arrays:
        made_by = json.loads(arrays["record"].tobytes()).get("config", "")
    if made_by != configured(variant, seed, settings):
        raise ConfigError(
            f"{file}: expected what the settings of this study found, got what others did: "
            "delete it, or give another --work"
        )
    return True


def configured(variant: Variant, seed: int, settings: Sequence[str]) -> str:
    """Hash of the configuration and of the trainer that a run is made by."""
    config = _config(variant, seed, settings)
    return hashlib.sha256(f"{TRAINER} {config.model_dump_json()}".encode()).hexdigest()


def _config(variant: Variant, seed: int, settings: Sequence[str]) -> TrainConfig:
    said = [*settings, *variant.settings, f"seed={seed}"]
    return load_config(variant.preset, None, said, method=variant.method)


def judge(bundles: Sequence[Bundle], log_directory: Path, out: Path) -> Found:
    """All that the study asks of a run."""
    evaluation = json.loads((bundles[0].directory / "evaluation.json").read_text("utf-8"))
    train, later = split_log(read_log(log_directory), evaluation["split"]["at_ms"])
    validation, test = open_contender(bundles, train, later, QUESTIONS)
    asked, ranked = (
        {name: make() for name, make in side.lists.items()} for side in (validation, test)
    )
    recalls = [_recalls(validation.questions, asked), _recalls(test.questions, ranked)]
    fronts = {OWN_LISTS: FoundFront(tuple(ranked), np.nanmean(recalls[0], 2), recalls[1])}
    for name, front in test.fronts.items():
        counted_LOQ = validation.fronts[name].recall(FRONT_K)
        fronts[name] = FoundFront(front.labels, np.nanmean(counted_LOQ, 2), front.recall(FRONT_K))
    metrics, chosen = (
        {name: side.questions.measure(each) for name, each in lists.items()}
        for side, lists in ((test, ranked), (validation, asked))
    )
    return Found(
        metrics=metrics,
        validation=chosen,
        objectives={name: each.summary() for name, each in test.questions.objectives.items()},
        costs=_costs(bundles, out),
        user_Q=test.questions.user_Q,
        fronts=fronts,
    )


def _recalls(questions: Questions, lists: Mapping[str, Rows]) -> Floats:
    """[L, O, Q] recall of lists that were made already."""
    return np.stack(
        [
            [questions.recall(ranked_QK, stage, FRONT_K) for stage in questions.objectives]
            for ranked_QK in lists.values()
        ]
    )


def _costs(bundles: Sequence[Bundle], out: Path) -> Json:
    """Of training: once for all bundles of a run. Of serving: of each bundle."""
    each = [
        json.loads((bundle.directory / "evaluation.json").read_text("utf-8"))["cost"]
        for bundle in bundles
    ]
    phases = json.loads((_work(bundles, out) / "costs.json").read_text("utf-8"))
    return {
        "dims": [cost["dims"] for cost in each],
        "parameters": sum(cost["parameters"] for cost in each),
        "trained_parameters": each[0]["trained_parameters"],
        "examples": each[0]["examples"],
        "phases": phases,
        "seconds": sum(phase["seconds"] for phase in phases),
    }


def _work(bundles: Sequence[Bundle], out: Path) -> Path:
    """Where the run that released these bundles kept its checkpoint and costs."""
    run_id = bundles[0].manifest.run_id
    if len(bundles) > 1:
        run_id = run_id.removesuffix(f"-{bundles[0].segments.names[0]}")
    return out / ".training" / run_id


def _forget_checkpoint(bundles: Sequence[Bundle], out: Path) -> None:
    """Hundreds of them fill a disk, and a judged run is not repeated."""
    (_work(bundles, out) / "checkpoint.npz").unlink(missing_ok=True)


def save_found(file: Path, found: Found) -> None:
    """Write the file, whole or not at all."""
    record = {
        "metrics": found.metrics,
        "validation": found.validation,
        "objectives": found.objectives,
        "costs": found.costs,
        "config": found.config,
        "made": found.made,
        "fronts": {name: list(front.labels) for name, front in found.fronts.items()},
    }
    arrays = {
        "user_Q": found.user_Q,
        "record": np.frombuffer(json.dumps(record).encode(), np.uint8),
    }
    for name, front in found.fronts.items():
        arrays[f"{name}/validation"] = front.validation_LO
        arrays[f"{name}/test"] = front.test_LOQ.astype(np.float32)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # its stub takes no keyword arrays
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, buffer.getvalue())


def load_found(file: Path) -> Found:
    """Read what `save_found` wrote."""
    with np.load(file, allow_pickle=False) as arrays:
        record = json.loads(arrays["record"].tobytes())
        fronts = {
            name: FoundFront(
                tuple(labels), arrays[f"{name}/validation"], arrays[f"{name}/test"].astype(float)
            )
            for name, labels in record.pop("fronts").items()
        }
        return Found(**record, user_Q=arrays["user_Q"], fronts=fronts)
