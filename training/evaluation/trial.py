"""Judges the towers that will be served: ONNX, exact search, the whole catalogue, the later log.

Decisions
- A query is a request of the later part of the log with at least one positive of the objective.
- Each list is judged on each objective: the stages' own scores s_t, and the fused score of Eq. 8.
- Items that training never saw exposed can hardly be found. Every figure is given over all
  positives and over those on seen items, with the share that these are (`item_coverage`).
- No torch: whoever has a bundle and a log can repeat the figures.

Dimension letters: Q queries, N items, M vector dims, K ranks, P positives, S stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.features import FeatureSchema
from bundle.scoring import Floats, exact_top_k, scale_query
from bundle.segments import Segments
from bundle.towers import Tower
from bundle.weights import ObjectiveWeights
from training.config import EvaluationConfig
from training.encoding import encode_items, encode_requests
from training.evaluation.metrics import Relevant, Rows, ranking_metrics
from training.logs.reader import Log

Json = dict[str, Any]
EMBED_ROWS, SEARCH_ROWS = 1024, 256


@dataclass(frozen=True)
class Objective:
    """One objective's positives among the queries, and which of them are on seen items."""

    relevant: Relevant
    seen_P: NDArray[np.bool_]

    def summary(self) -> Json:
        """Counts and coverage."""
        return {
            "requests": len(np.unique(self.relevant.query_P)),
            "positives": len(self.seen_P),
            "item_coverage": round(float(self.seen_P.mean()), 6) if len(self.seen_P) else 0.0,
        }


@dataclass(frozen=True)
class Trial:
    """Everything needed to judge any weights: vectors and positives."""

    segments: Segments
    request_rows_Q: Rows  # of the later log
    users_QM: Floats
    items_NM: Floats
    objectives: dict[str, Objective]
    ks: tuple[int, ...]

    def judge(self, weights: ObjectiveWeights, *, covered: bool = True) -> Json:
        """Metrics of the list fused with `weights`, per objective."""
        return self.measure(self.rank(weights), covered=covered)

    def rank(self, weights: ObjectiveWeights) -> Rows:
        """[Q, K] item rows of the lists fused with `weights`, best first."""
        queries_QM = scale_query(self.users_QM, weights.as_array(), self.segments)
        return np.concatenate(
            [
                exact_top_k(queries_QM[start : start + SEARCH_ROWS], self.items_NM, self.ks[-1])[0]
                for start in range(0, len(queries_QM), SEARCH_ROWS)
            ]
        )

    def measure(self, ranked_QK: Rows, *, covered: bool = True) -> Json:
        """Metrics of any lists, per objective; a row outside the catalogue is an empty place."""
        result: Json = {}
        for stage, objective in self.objectives.items():
            result[stage] = {"all": ranking_metrics(ranked_QK, objective.relevant, self.ks)}
            if covered:
                seen = objective.relevant.only(objective.seen_P)
                result[stage]["seen_items"] = ranking_metrics(ranked_QK, seen, self.ks)
        return result


def prepare_trial(
    train: Log,
    test: Log,
    schema: FeatureSchema,
    towers: tuple[Tower, Tower],
    segments: Segments,
    config: EvaluationConfig,
) -> Trial:
    """Choose the queries, embed them and the catalogue."""
    request_rows, objectives = _queries(train, test, segments.names, config.max_requests)
    users = encode_requests(test, schema, request_rows)
    items = encode_items(test, schema)
    return Trial(
        segments=segments,
        request_rows_Q=request_rows,
        users_QM=_embed(towers[0], users.arrays),
        items_NM=_embed(towers[1], items.arrays),
        objectives=objectives,
        ks=tuple(config.ks),
    )


def evaluate(trial: Trial, default: ObjectiveWeights) -> Json:
    """The figures of evaluation.json: each stage's own list, the fused list, a walk of weights."""
    stages = trial.segments.names
    alone = {stage: alone_weights(stage, stages) for stage in stages}
    return {
        "catalogue_items": len(trial.items_NM),
        "objectives": {name: each.summary() for name, each in trial.objectives.items()},
        "lists": {
            **{f"{stage} score": trial.judge(weights) for stage, weights in alone.items()},
            "fused": trial.judge(default),
        },
        "walk": walk(trial, steps=4),
    }


def alone_weights(stage: str, stages: Sequence[str]) -> ObjectiveWeights:
    """The weights under which the served score is one stage's own."""
    return ObjectiveWeights.parse({each: float(each == stage) for each in stages}, stages)


def walk(trial: Trial, steps: int) -> list[Json]:
    """Fused lists on the way from each stage's own score to the next one's, `steps` to a leg."""
    return [
        {"weights": weights.as_dict(), "objectives": trial.judge(weights, covered=False)}
        for weights in weight_walk(trial.segments.names, steps)
    ]


def weight_walk(stages: Sequence[str], steps: int) -> list[ObjectiveWeights]:
    """Weights (1, 0, 0) → (0, 1, 0) → (0, 0, 1), linearly; both ends of every leg are included."""
    eye_SS = np.eye(len(stages))
    points = [
        (1 - step / steps) * eye_SS[leg] + step / steps * eye_SS[leg + 1]
        for leg in range(len(stages) - 1)
        for step in range(steps)
    ]
    return [
        ObjectiveWeights.parse(dict(zip(stages, map(float, point.round(6)), strict=True)), stages)
        for point in [*points, eye_SS[-1]]
    ]


def _queries(
    train: Log, test: Log, stages: Sequence[str], limit: int
) -> tuple[NDArray[np.int64], dict[str, Objective]]:
    """Rows of the requests to judge, and each objective's positives as (query, item) rows."""
    seen_N = test.items["item_id"].is_in(
        train.events.filter(train.spec.stage_columns[0])["item_id"].unique().implode()
    )
    events = (
        test.events.join(
            test.requests.select("request_id").with_row_index("request"), on="request_id"
        )
        .join(test.items.select("item_id").with_row_index("item"), on="item_id")
        .sort("request", "item")
    )
    pairs = {
        stage: events.filter(column).select("request", "item").to_numpy().astype(np.int64)
        for stage, column in zip(stages, test.spec.stage_columns, strict=True)
    }
    chosen = {stage: _spread(np.unique(rows_P2[:, 0]), limit) for stage, rows_P2 in pairs.items()}
    request_rows = np.unique(np.concatenate(list(chosen.values())))
    objectives = {}
    for stage, rows_P2 in pairs.items():
        kept_P2 = rows_P2[np.isin(rows_P2[:, 0], chosen[stage])]
        relevant = Relevant(np.searchsorted(request_rows, kept_P2[:, 0]), kept_P2[:, 1])
        objectives[stage] = Objective(relevant, seen_N.to_numpy()[relevant.item_P])
    return request_rows, objectives


def _spread(rows: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """At most `limit` of the rows, evenly spread."""
    if len(rows) <= limit:
        return rows
    return rows[np.linspace(0, len(rows) - 1, limit).astype(np.int64)]


def _embed(tower: Tower, arrays: Mapping[str, NDArray[Any]]) -> Floats:
    rows = len(next(iter(arrays.values())))
    parts = [
        tower.embed({name: each[start : start + EMBED_ROWS] for name, each in arrays.items()})
        for start in range(0, rows, EMBED_ROWS)
    ]
    return np.concatenate(parts)
