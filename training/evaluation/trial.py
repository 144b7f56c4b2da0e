"""One bundle before the questions of one side of the later log.

    validation, test = open_trials(train, later, towers, config.evaluation)
    test.judge(weights)                              all metrics of one fused list
    validation.recalls(weight_grid(stages), 50)      many lists, one figure

Decisions
- A released bundle is judged again on the log that it was judged on, cut where it was cut then; its
  `evaluation.json` says where. Another log is refused.
- No torch: whoever has a bundle and a log can repeat the figures.

Dimension letters: L lists, O objectives, Q queries.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bundle.store import Bundle
from bundle.weights import ObjectiveWeights
from training.config import EvaluationConfig
from training.errors import ConfigError
from training.evaluation.metrics import Floats, recall_per_query
from training.evaluation.questions import Questions, ask
from training.evaluation.vectors import TwoTowers, Vectors, embed
from training.logs.reader import Log, read_log
from training.logs.split import split_log

Json = dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """Questions, and the vectors that answer them under any weights."""

    questions: Questions
    vectors: Vectors

    def judge(self, weights: ObjectiveWeights) -> Json:
        """All metrics of the list fused with `weights`, by objective and slice."""
        return self.questions.measure(self.vectors.rank(weights, self.questions.ks[-1]))

    def recall(self, settings: Sequence[ObjectiveWeights], k: int) -> Floats:
        """[L, O, Q] recall@k of each list, per objective and query; NaN where nothing is wanted."""
        wanted = [each.relevant for each in self.questions.objectives.values()]
        found = self.vectors.finds(settings, k, wanted)
        return np.stack(
            [
                [recall_per_query(each.query_P, row_P, len(self.questions)) for row_P in found_LP]
                for each, found_LP in zip(wanted, found, strict=True)
            ],
            axis=1,
        )

    def recalls(self, settings: Sequence[ObjectiveWeights], k: int) -> Floats:
        """[L, O] macro recall@k; NaN for an objective without a positive."""
        recall_LOQ = self.recall(settings, k)
        judged_O = (~np.isnan(recall_LOQ[:1])).sum(axis=(0, 2))
        with np.errstate(invalid="ignore"):
            recall_LO: Floats = np.nansum(recall_LOQ, axis=2) / judged_O
        return recall_LO


def open_trials(
    train: Log, later: Log, towers: TwoTowers, config: EvaluationConfig
) -> tuple[Trial, Trial]:
    """The validation side and the test side. Raises ConfigError if there is nothing to report."""
    sides = ask(train, later, config)
    asked = (sides.validation, sides.test)
    vectors = embed(towers, later, *(each.request_rows_Q for each in asked))
    validation, test = (Trial(*pair) for pair in zip(asked, vectors, strict=True))
    return validation, test


@dataclass(frozen=True)
class Reopened:
    """A release, both parts of its log, and its trials."""

    train: Log
    later: Log
    validation: Trial
    test: Trial


def reopen(
    bundle: Bundle,
    log_directory: Path,
    k: int,
    *,
    max_requests: int | None = None,
    default_share: float = 0.0,
) -> Reopened:
    """The bundle's towers before the part of the log that it was judged on.

    `max_requests` are judged per side and objective, all with None. The sides are those of the
    release; `default_share` cuts one that was judged whole. Raises ConfigError on another log.
    """
    evaluation = json.loads((bundle.directory / "evaluation.json").read_text(encoding="utf-8"))
    train, later = _parts(bundle.manifest.run_id, evaluation, log_directory)
    config = EvaluationConfig(
        ks=[k],
        max_requests=max_requests or len(later.requests),
        validation_share=evaluation.get("validation_share") or default_share,
    )
    return Reopened(train, later, *open_trials(train, later, TwoTowers.of(bundle), config))


def _parts(run_id: str, evaluation: Json, log_directory: Path) -> tuple[Log, Log]:
    log, split, stages = read_log(log_directory), evaluation["split"], [*evaluation["objectives"]]
    train, later = split_log(log, split["at_ms"])
    found = ([*log.spec.stages], len(train.requests), len(later.requests))
    if found != (stages, split["train_requests"], split["test_requests"]):
        raise ConfigError(
            f"--log: expected the log that {run_id} was trained on ({', '.join(stages)}; "
            f"{split['train_requests']} requests before {split['at']}, {split['test_requests']} "
            f"after); {log_directory} is another"
        )
    return train, later
