"""What is in a log: counts, funnel, sparsity, coverage, irregularities.

Decisions
- Aggregates are computed by streaming over the parquet files; what is held are ids and one number
  an event, never the features.
- Irregular events are counted as the reader would treat them, not corrected.

Use: ``print(as_text(describe(Path("demo/log"))))``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from training.logs.integrity import IntegrityReport, examine_events, refuse_bad_rows
from training.logs.spec import FeatureDeclaration
from training.logs.split import iso
from training.logs.tables import Tables, open_tables


@dataclass(frozen=True)
class StageCount:
    """How often a stage was reached, and by how much of the log."""

    stage: str
    events: int
    items: int
    requests: int
    previous_per_event: float | None  # events of the stage before for one of this; None if none


@dataclass(frozen=True)
class FeatureCoverage:
    """How far a feature is filled and how many different values it has."""

    side: str
    name: str
    type: str
    present: float  # share of rows of its table that are not missing (or empty)
    distinct: int | None


@dataclass(frozen=True)
class LogDescription:
    """Everything ``csmf-log describe`` reports."""

    name: str
    requests: int
    events: int
    users: int
    items: int
    first_ts: int
    last_ts: int
    stages: tuple[StageCount, ...]
    first_stage_per_request: float
    density: float  # first-stage events over users × items
    unexposed_per_request: float
    cold_items: int  # items without an event of the first stage in the first 80% of the requests
    untouched_items: int  # items without any event
    features: tuple[FeatureCoverage, ...]
    report: IntegrityReport

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"report": self.report.as_json()}


def describe(directory: Path) -> LogDescription:
    """Reads a log by streaming; raises LogError where the reader would."""
    tables = open_tables(directory)
    refuse_bad_rows(tables)
    report, events = examine_events(tables)
    first = pl.col(tables.spec.stage_columns[0])
    staged = pl.any_horizontal(tables.spec.stage_columns)
    requests = _one(
        tables.requests.select(
            requests=pl.len(),
            users=pl.col("user_id").n_unique(),
            first_ts=pl.col("ts").min(),
            last_ts=pl.col("ts").max(),
            cold_from=pl.col("ts").quantile(0.8, "higher"),
        )
    )
    counted = _one(events.select(events=pl.len(), first=first.sum(), unexposed=(~staged).sum()))
    items = _one(tables.items.select(items=pl.len()))["items"]
    cold_from = requests.pop("cold_from")
    return LogDescription(
        name=tables.spec.name,
        events=counted["events"],
        items=items,
        **requests,
        stages=_stages(tables, events),
        first_stage_per_request=counted["first"] / requests["requests"],
        density=counted["first"] / (requests["users"] * items),
        unexposed_per_request=counted["unexposed"] / requests["requests"],
        cold_items=items - _items_before(tables, events.filter(first), int(cold_from)),
        untouched_items=items - _one(events.select(n=pl.col("item_id").n_unique()))["n"],
        features=tuple(_coverage(tables)),
        report=report,
    )


def _one(frame: pl.LazyFrame) -> dict[str, Any]:
    return frame.collect(engine="streaming").row(0, named=True)


def _stages(tables: Tables, events: pl.LazyFrame) -> tuple[StageCount, ...]:
    cascade = tables.spec.cascade
    counted = _one(
        events.select(
            expression.alias(f"{what} {entry.stage}")
            for entry in cascade
            for what, expression in (
                ("events", pl.col(entry.column).sum()),
                ("items", pl.col("item_id").filter(entry.column).n_unique()),
                ("requests", pl.col("request_id").filter(entry.column).n_unique()),
            )
        )
    )
    reached = [counted[f"events {entry.stage}"] for entry in cascade]
    ratios = [None] + [a / b if b else None for a, b in pairwise(reached)]
    return tuple(
        StageCount(
            stage=entry.stage,
            events=counted[f"events {entry.stage}"],
            items=counted[f"items {entry.stage}"],
            requests=counted[f"requests {entry.stage}"],
            previous_per_event=ratio,
        )
        for entry, ratio in zip(cascade, ratios, strict=True)
    )


def _items_before(tables: Tables, events: pl.LazyFrame, ts: int) -> int:
    early = tables.requests.filter(pl.col("ts") < ts).select("request_id")
    seen = events.join(early, on="request_id", how="semi")
    return int(_one(seen.select(n=pl.col("item_id").n_unique()))["n"])


def _coverage(tables: Tables) -> list[FeatureCoverage]:
    declared = tables.spec.features
    frames = tables.present()
    return [
        _covered(side, feature, frames[f"{feature.table}.parquet"])
        for side, features in (("user", declared.user), ("item", declared.item))
        for feature in features
    ]


def _covered(side: str, feature: FeatureDeclaration, frame: pl.LazyFrame) -> FeatureCoverage:
    column = pl.col(feature.name)
    present, distinct = column.count(), column.drop_nulls().n_unique()
    if feature.type == "sequence":
        present = (column.list.len() > 0).sum()
        distinct = column.explode(empty_as_null=False).n_unique()
    elif feature.type == "vector":
        distinct = pl.lit(None)
    row = _one(frame.select(present=present / pl.len(), distinct=distinct))
    return FeatureCoverage(side, feature.name, feature.type, **row)


def as_text(found: LogDescription) -> str:
    """The description in aligned columns, for people."""
    stages = [
        (
            stage.stage,
            f"{stage.events:,}",
            f"{stage.requests:,}",
            f"{stage.items:,}",
            "" if stage.previous_per_event is None else f"{stage.previous_per_event:.1f}",
        )
        for stage in found.stages
    ]
    features = [
        (
            feature.side,
            feature.name,
            feature.type,
            f"{feature.present:.1%}",
            "" if feature.distinct is None else f"{feature.distinct:,}",
        )
        for feature in found.features
    ]
    first = found.stages[0].stage
    summary = [
        ("requests", f"{found.requests:,} of {found.users:,} users"),
        ("events", f"{found.events:,} on {found.items:,} items"),
        ("time", f"{iso(found.first_ts)} to {iso(found.last_ts)}"),
        (f"{first}s a request", f"{found.first_stage_per_request:.1f}"),
        ("unexposed a request", f"{found.unexposed_per_request:.1f}"),
        (f"{first}s / (users × items)", f"{found.density:.2e}"),
        ("items that come late", f"{found.cold_items:,} not in the first 80% of requests"),
        ("items never used", f"{found.untouched_items:,}"),
    ]
    return "\n".join(
        [
            found.name,
            *_aligned(summary),
            "",
            *_aligned([("stage", "events", "requests", "items", "previous for one"), *stages]),
            "",
            *_aligned([("side", "feature", "type", "present", "distinct"), *features]),
            "",
            *([str(finding) for finding in found.report.findings] or ["nothing irregular"]),
        ]
    )


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns padded to equal width; columns of a table that hold numbers align right."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [all(cell[:1].isdigit() or not cell for cell in column[1:]) for column in columns]
    return [
        "  ".join(
            cell.rjust(width) if right and len(columns) > 2 else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in rows
    ]
