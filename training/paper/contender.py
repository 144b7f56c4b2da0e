"""What a method can answer, from its bundles: its list for each objective, and its fronts.

Decisions
- Every method is held to the same questions by the lists that it can serve. With segments, weights
  make the lists. One vector makes one list, which is nobody's own: it is held against other one
  lists alone. A model per objective can be asked one after the other and the answers merged (as
  many searches as models), or joined to one longer vector (one search). Models that share their
  items (DMMP) need no longer vector: joined, they score as the sum of their user vectors.
- A front is the lists among which an operator can choose without training again.
- `fused` is the one list for clicks and conversions together that needs no choice: default weights,
  the only vector, or both models joined in equal parts.

Dimension letters: L lists, O objectives, Q queries, K ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bundle.store import Bundle
from bundle.weights import ObjectiveWeights
from training.config import EvaluationConfig
from training.evaluation.choice import weight_grid
from training.evaluation.lists import merge_lists
from training.evaluation.metrics import Floats, Rows
from training.evaluation.questions import Questions
from training.evaluation.trial import Trial, open_trials
from training.evaluation.vectors import TwoTowers, Vectors, alone_weights, join
from training.logs.reader import Log

SHARES = tuple(round(step / 10, 1) for step in range(11))  # of the second model
WEIGHTS, ONE_WEIGHT, ONE_LIST = "weights", "one weight", "one list"
JOINED, MERGED = "joined", "merged"
SWEPT = (0.0, 0.4, 0.8, 1.2, 1.8, 2.4, 3.6)  # values of one weight, the others held


@dataclass(frozen=True)
class Front:
    """Lists by label, and how to judge all of them on one side."""

    labels: tuple[str, ...]
    recall: Callable[[int], Floats]  # k → [L, O, Q]


@dataclass(frozen=True)
class Side:
    """One method before the questions of one side."""

    questions: Questions
    lists: Mapping[str, Callable[[], Rows]]  # "click list", …, "fused" → [Q, K]
    fronts: Mapping[str, Front]


def open_contender(
    bundles: Sequence[Bundle], train: Log, later: Log, config: EvaluationConfig
) -> tuple[Side, Side]:
    """A method's bundles before the validation side and the test side."""
    trials = [open_trials(train, later, TwoTowers.of(bundle), config) for bundle in bundles]
    stages, weights = train.spec.stages, bundles[0].manifest.weights
    if len(bundles) > 1:
        named = {
            bundle.segments.names[0]: pair for bundle, pair in zip(bundles, trials, strict=True)
        }
        first, second = (
            several({name: pair[side] for name, pair in named.items()}, stages) for side in range(2)
        )
        return first, second
    ((validation, test),) = trials
    if len(bundles[0].segments.names) > 1:
        return segmented(validation, weights), segmented(test, weights)
    return single(validation), single(test)


def segmented(trial: Trial, default: ObjectiveWeights) -> Side:
    """A vector with segments: any weights, one search."""
    stages = default.stages
    settings = {f"{stage} list": alone_weights(stage, stages) for stage in stages}
    settings["fused"] = default
    grid = weight_grid(stages)
    labels = tuple(_label(weights) for weights in grid)
    swept = {
        f"{stage} {value:g}": ObjectiveWeights.parse(default.as_dict() | {stage: value}, stages)
        for stage in stages
        for value in SWEPT
    }
    return Side(
        trial.questions,
        {name: _ranker(trial, weights) for name, weights in settings.items()},
        {
            WEIGHTS: Front(labels, lambda k: trial.recall(grid, k)),
            ONE_WEIGHT: Front(tuple(swept), lambda k: trial.recall([*swept.values()], k)),
        },
    )


def single(trial: Trial) -> Side:
    """One vector without segments: one list, whatever is asked."""
    weights = _whole(trial.vectors)
    return Side(
        trial.questions,
        {"fused": _ranker(trial, weights)},
        {ONE_LIST: Front(("",), lambda k: trial.recall([weights], k))},
    )


def several(trials: Mapping[str, Trial], stages: Sequence[str]) -> Side:
    """A model per objective; fronts are over those of the last two stages."""
    first, second = (trials[stage] for stage in stages[-2:])
    lists = {
        f"{stage} list": _ranker(trial, _whole(trial.vectors)) for stage, trial in trials.items()
    }
    labels = tuple(f"{share:g} {stages[-1]}" for share in SHARES)
    fronts = {
        JOINED: Front(labels, lambda k: _recall_joined(first, second, k)),
        MERGED: Front(labels, lambda k: _recall_merged(first, second, k)),
    }
    even = _joined(first, second)
    return Side(first.questions, {**lists, "fused": _ranker(even, _leaning(even, 0.5))}, fronts)


def _recall_joined(first: Trial, second: Trial, k: int) -> Floats:
    """[L, O, Q] of each share; Eq. 8 never scales a later segment more, so each leads a half."""
    early, late = _joined(first, second), _joined(second, first)
    of_first = [_leaning(early, 1 - share) for share in SHARES if share <= 0.5]
    of_second = [_leaning(late, share) for share in SHARES if share > 0.5]
    return np.concatenate([early.recall(of_first, k), late.recall(of_second, k)])


def _recall_merged(first: Trial, second: Trial, k: int) -> Floats:
    """[L, O, Q] of each share."""
    questions = first.questions
    ranked = [each.vectors.rank(_whole(each.vectors), k) for each in (first, second)]
    lists = [merge_lists(ranked[1], ranked[0], share) for share in SHARES]
    return np.stack(
        [[questions.recall(each, stage, k) for stage in questions.objectives] for each in lists]
    )


def _joined(first: Trial, second: Trial) -> Trial:
    return Trial(first.questions, join([first.vectors, second.vectors]))


def _leaning(joined: Trial, share: float) -> ObjectiveWeights:
    """Weights that scale two segments by `share`, at least a half, and what is left of 1."""
    first, second = joined.vectors.segments.names
    given = {first: round(2 * share - 1, 6), second: round(1 - share, 6)}
    return ObjectiveWeights.parse(given, (first, second))


def _whole(vectors: Vectors) -> ObjectiveWeights:
    (name,) = vectors.segments.names
    return alone_weights(name, [name])


def _ranker(trial: Trial, weights: ObjectiveWeights) -> Callable[[], Rows]:
    return lambda: trial.vectors.rank(weights, trial.questions.ks[-1])


def _label(weights: ObjectiveWeights) -> str:
    return " : ".join(f"{value:g}" for value in weights.values)
