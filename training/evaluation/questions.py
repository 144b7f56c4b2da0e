"""What lists are asked: requests of the later part of the log, and what came of them.

    sides = ask(train, later, config.evaluation)
    sides.test.measure(ranked_QK)                      whoever made the lists
    sides.test.recall(ranked_QK, "click", 50)          per query, for intervals

Decisions
- A query is a request of the later part with at least one positive of some objective.
- The later part is cut again in time: its first `validation_share` is for choosing weights and
  settings, the rest for reporting. Equal times are ordered by request id, so that a log without
  times (Beibei) can be cut too.
- Every figure is given for all positives, for those on items that training saw exposed, for those
  on items it never did (cold), and for those of users without a request in the training part
  (cold); each with its counts.
- Each side and objective has at most `max_requests` requests, evenly spread over the log.

Dimension letters: Q queries, K ranks, P positives, L later requests, E their events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from training.config import EvaluationConfig
from training.errors import ConfigError
from training.evaluation.metrics import (
    Floats,
    Marks,
    Relevant,
    Rows,
    ranking_metrics,
    recall_per_query,
)
from training.logs.reader import Log
from training.logs.split import iso

Json = dict[str, Any]


@dataclass(frozen=True)
class Objective:
    """One objective's positives among the queries, and which of them are in each slice."""

    relevant: Relevant
    slices: Mapping[str, Marks]  # by name, over positives

    def summary(self) -> Json:
        """Counts of each slice, and the share of positives on items that training saw exposed."""
        queries_P, seen_P = self.relevant.query_P, self.slices["seen_items"]
        return {
            "requests": len(np.unique(queries_P)),
            "positives": len(queries_P),
            "item_coverage": round(float(seen_P.mean()), 6) if len(seen_P) else 0.0,
            "slices": {
                name: {
                    "requests": len(np.unique(queries_P[keep_P])),
                    "positives": int(keep_P.sum()),
                }
                for name, keep_P in self.slices.items()
            },
        }


@dataclass(frozen=True)
class Questions:
    """The queries of one side of the later part, and their positives."""

    request_rows_Q: Rows  # of the later part
    user_Q: Rows  # a number per user: whose answers vary together
    objectives: Mapping[str, Objective]
    ks: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.request_rows_Q)

    def measure(self, ranked_QK: Rows) -> Json:
        """All metrics by objective and slice; a row outside the catalogue is an empty place."""
        result: Json = {}
        for stage, objective in self.objectives.items():
            query_P, place_P = objective.relevant.query_P, objective.relevant.places(ranked_QK)
            result[stage] = {
                name: ranking_metrics(query_P[keep_P], place_P[keep_P], self.ks)
                for name, keep_P in objective.slices.items()
            }
        return result

    def recall(self, ranked_QK: Rows, stage: str, k: int, part: str = "all") -> Floats:
        """[Q] recall@k of one objective and slice; NaN for a query without such a positive."""
        objective = self.objectives[stage]
        relevant = objective.relevant.only(objective.slices[part])
        return recall_per_query(relevant.query_P, relevant.places(ranked_QK[:, :k]) < k, len(self))

    def without(self, stages: tuple[str, ...]) -> list[str]:
        """Those of the stages that have no positive here."""
        return [each for each in stages if not len(self.objectives[each].relevant.query_P)]


@dataclass(frozen=True)
class Sides:
    """The later part of the log, cut in time."""

    validation: Questions
    test: Questions


def ask(train: Log, later: Log, config: EvaluationConfig) -> Sides:
    """Choose the queries of both sides. Raises ConfigError if there is nothing to report."""
    early_L = _earliest(later.requests, config.validation_share)
    positives = _positives(train, later)
    sides = Sides(*(_side(later, positives, of_L, config) for of_L in (early_L, ~early_L)))
    if not len(sides.test):
        raise ConfigError(
            f"no request has a positive of any stage in the last {1 - config.validation_share:.0%} "
            f"of the part from {iso(int(later.requests['ts'].to_numpy().min()))} on, so there is "
            "nothing to judge by: split earlier (split.test_share; test_from in log.yaml), or "
            "lower evaluation.validation_share"
        )
    return sides


def _earliest(requests: pl.DataFrame, share: float) -> Marks:
    """[L] True for the first `share` of the requests in time."""
    order_L = requests.with_row_index("row").sort("ts", "request_id")["row"].to_numpy()
    early_L = np.zeros(len(order_L), np.bool_)
    early_L[order_L[: round(len(order_L) * share)]] = True
    return early_L


def _positives(train: Log, later: Log) -> pl.DataFrame:
    """Events of the later part: request row, item row, slices, and a column per stage."""
    shown = train.events.filter(train.spec.stage_columns[0])["item_id"].unique()
    known = train.requests["user_id"].unique()
    requests = later.requests.select(
        "request_id", cold_users=~pl.col("user_id").is_in(known.implode())
    )
    items = later.items.select("item_id", seen_items=pl.col("item_id").is_in(shown.implode()))
    return (
        later.events.join(requests.with_row_index("request"), on="request_id")
        .join(items.with_row_index("item"), on="item_id")
        .with_columns(all=pl.lit(value=True), cold_items=~pl.col("seen_items"))
        .sort("request", "item")
    )


SLICES = ("all", "seen_items", "cold_items", "cold_users")


def _side(later: Log, positives: pl.DataFrame, of_L: Marks, config: EvaluationConfig) -> Questions:
    """The queries among the requests `of_L`."""
    events, here_E = {}, pl.Series(of_L[positives["request"].to_numpy()])
    for stage, column in zip(later.spec.stages, later.spec.stage_columns, strict=True):
        mine = positives.filter(pl.col(column) & here_E)
        chosen = _spread(mine["request"].unique(maintain_order=True), config.max_requests)
        events[stage] = mine.filter(pl.col("request").is_in(chosen.implode()))
    rows_Q = np.unique(np.concatenate([each["request"].to_numpy() for each in events.values()]))
    users = later.requests["user_id"].rank("dense").to_numpy()
    return Questions(
        request_rows_Q=rows_Q.astype(np.int64),
        user_Q=users[rows_Q].astype(np.int64),
        objectives={stage: _objective(each, rows_Q) for stage, each in events.items()},
        ks=tuple(config.ks),
    )


def _objective(events: pl.DataFrame, rows_Q: Rows) -> Objective:
    query_P = np.searchsorted(rows_Q, events["request"].to_numpy())
    item_P = events["item"].to_numpy().astype(np.int64)
    slices = {name: events[name].to_numpy() for name in SLICES}
    return Objective(Relevant(query_P, item_P), slices)


def _spread(rows: pl.Series, limit: int) -> pl.Series:
    """At most `limit` of the rows, evenly spread."""
    if len(rows) <= limit:
        return rows
    return rows[np.linspace(0, len(rows) - 1, limit).astype(np.int64)]
