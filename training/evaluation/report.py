"""What a release says about itself: the figures of evaluation.json.

Decisions
- Each list is judged on each objective: the stages' own scores s_t, and the fused score of Eq. 8
  with the default weights. All on the test side.
- The grid of weights is judged by recall at the shortest K on both sides; its front and the
  recommended weights are chosen on the validation side.
- Where validation has no positive of a stage that a goal is about, nothing is recommended, and the
  reason is written in its place.
- A bundle of one segment is one list: there are no weights to choose.

Dimension letters: L lists (weights of the grid), O objectives, F lists on the front.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bundle.weights import ObjectiveWeights
from training.config import EvaluationConfig
from training.evaluation.choice import front_rows, goals, weight_grid
from training.evaluation.metrics import Floats, Rows
from training.evaluation.trial import Trial, open_trials
from training.evaluation.vectors import TwoTowers, alone_weights
from training.logs.reader import Log

Json = dict[str, Any]
logger = logging.getLogger("training")


def evaluate(
    train: Log, later: Log, towers: TwoTowers, default: ObjectiveWeights, config: EvaluationConfig
) -> Json:
    """Judge the towers on the later part of the log."""
    validation, test = open_trials(train, later, towers, config)
    segments = towers.segments.names
    lists = {f"{each} score": alone_weights(each, segments) for each in segments}
    if len(segments) == 1:
        lists = {}  # its own score is the fused one
    return {
        "validation_share": config.validation_share,
        "catalogue_items": len(test.vectors.items_NM),
        "objectives": {name: each.summary() for name, each in test.questions.objectives.items()},
        "lists": {name: test.judge(each) for name, each in (lists | {"fused": default}).items()},
        **_choice(validation, test, config.ks[0]),
    }


def _choice(validation: Trial, test: Trial, k: int) -> Json:
    reason = no_choice(validation)
    if reason:
        if len(validation.vectors.segments.names) > 1:  # else nobody expects any
            logger.warning("no weights are recommended: %s", reason)
        return {"front": [], "recommended": {}, "not_recommended": reason}
    explored = explore(validation, test, k)
    return {"chosen_by": f"recall@{k}", **explored.front(), **explored.recommended()}


def no_choice(validation: Trial) -> str | None:
    """Why weights cannot be chosen, if they cannot."""
    if len(validation.vectors.segments.names) == 1:
        return "the bundle has one segment, so all weights give the same list"
    objectives = tuple(validation.questions.objectives)
    missing = validation.questions.without(tuple(dict.fromkeys((objectives[0], *objectives[-2:]))))
    if missing:
        return (
            f"the validation side of the later part has no positive of {', '.join(missing)}: "
            "raise evaluation.validation_share or split.test_share"
        )
    return None


@dataclass(frozen=True)
class Explored:
    """A grid of weights, judged."""

    objectives: Sequence[str]
    settings: Sequence[ObjectiveWeights]
    validation_LO: Floats
    test_LO: Floats
    front_F: Rows
    recommended_rows: dict[str, int]  # by goal

    def point(self, row: int) -> Json:
        """One list."""
        return {
            "weights": self.settings[row].as_dict(),
            "validation": _figures(self.objectives, self.validation_LO[row]),
            "test": _figures(self.objectives, self.test_LO[row]),
        }

    def goals_of(self, row: int) -> list[str]:
        """Names of the goals that one list is recommended for."""
        return [name for name, chosen in self.recommended_rows.items() if chosen == row]

    def front(self) -> Json:
        """The lists on the front of the last two objectives, from one end to the other."""
        return {"front": [self.point(row) for row in self.front_F]}

    def recommended(self) -> Json:
        """The list to take for each goal."""
        sentences = {goal.name: goal.sentence for goal in goals(self.objectives)}
        return {
            "recommended": {
                name: {"goal": sentences[name], **self.point(row)}
                for name, row in self.recommended_rows.items()
            }
        }


def explore(validation: Trial, test: Trial, k: int, steps: int | None = None) -> Explored:
    """Judge a grid of weights on both sides, and choose on the first."""
    objectives = tuple(validation.questions.objectives)
    settings = weight_grid(validation.vectors.segments.names, steps)
    validation_LO, test_LO = (each.recalls(settings, k) for each in (validation, test))
    chosen = {goal.name: goal.choose(validation_LO, objectives) for goal in goals(objectives)}
    return Explored(objectives, settings, validation_LO, test_LO, front_rows(validation_LO), chosen)


def _figures(objectives: Sequence[str], recall_O: Floats) -> Json:
    """Recall by objective; null where there was nothing to find."""
    return {
        name: None if np.isnan(recall) else round(float(recall), 6)
        for name, recall in zip(objectives, recall_O, strict=True)
    }
