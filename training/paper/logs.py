"""Table 1: the logs of the study beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.logs.describe import LogDescription, describe
from training.paper.study import Study, StudyLog
from training.paper.table import Row, Table

# As the paper gives them, rounded; a log of an e-commerce platform that is not public.
PAPERS: Row = ("the paper's", "109 M", "0.11 B", "2.1 B", "19 M", "0.3 M", 19.0, 110.0, 63.0)
HEADER = (
    "log",
    "page views",
    "items",
    "exposures",
    "clicks",
    "conversions",
    "exposures a page view",
    "exposures a click",
    "clicks a conversion",
)
STAGES = ("exposure", "click", "conversion")


def table_1(study: Study, rows: Sequence[Row]) -> Table:
    """Of the logs whose rows are given; the others are not run."""
    known = {row[0]: row for row in rows}
    ours = [known.get(log.title, (log.title, *[None] * 8)) for log in study.logs]
    return Table("table1", HEADER, {"": [PAPERS, *ours]})


def table_1_row(log: StudyLog, work: Path) -> Row:
    """Of a log of the study."""
    directory = work / log.name / "log"
    return _row(log, describe(directory)) if directory.exists() else (log.title, *[None] * 8)


def _row(log: StudyLog, described: LogDescription) -> Row:
    stages = {each.stage: each for each in described.stages}
    counts = [stages[name].events if name in stages else "–" for name in STAGES]
    ratios = [
        stages[name].previous_per_event or "–" if name in stages else "–" for name in STAGES[1:]
    ]
    first = described.first_stage_per_request if STAGES[0] in stages else "–"
    return (log.title, described.requests, described.items, *counts, first, *ratios)
