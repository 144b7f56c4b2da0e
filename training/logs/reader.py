"""Reads a log whole, checked: what training works on.

Decisions
- Everything irregular is either a LogError or a counted finding of ``log.report``; see integrity.
- Frames are normalised (see tables); a vector column's ``to_numpy`` is [N, dim].

Use: ``log = read_log(Path("demo/log"))``; ``log.events``; ``log.report.set_aside``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from training.logs.errors import LogError
from training.logs.integrity import IntegrityReport, examine_events, refuse_bad_rows
from training.logs.spec import FeatureDeclaration, LogSpec
from training.logs.tables import collected, open_tables


@dataclass(frozen=True)
class Log:
    """The tables of a log in memory, normalised, with what was irregular in them."""

    spec: LogSpec
    requests: pl.DataFrame
    events: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame | None
    report: IntegrityReport


def _fixed_vectors(features: list[FeatureDeclaration]) -> list[pl.Expr]:
    return [
        pl.col(feature.name).list.to_array(feature.dim)
        for feature in features
        if feature.type == "vector" and feature.dim is not None
    ]


def read_log(directory: Path) -> Log:
    """Reads and checks a log directory; raises LogError where it cannot be read as it stands."""
    tables = open_tables(directory)
    refuse_bad_rows(tables)
    report, events = examine_events(tables)
    frames = collected(
        (file, frame.with_columns(_fixed_vectors(tables.features_of(file))))
        for file, frame in {**tables.present(), "events.parquet": events}.items()
    )
    if frames["events.parquet"].is_empty():
        raise LogError(
            "events.parquet",
            None,
            None,
            f"no event is left after {report.set_aside} were set aside",
            "; ".join(map(str, report.findings)),
        )
    return Log(
        spec=tables.spec,
        requests=frames["requests.parquet"],
        events=frames["events.parquet"],
        items=frames["items.parquet"],
        users=frames.get("users.parquet"),
        report=report,
    )
