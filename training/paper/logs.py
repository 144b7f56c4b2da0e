"""Table 1: the logs of the study beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.logs.describe import LogDescription, describe
from training.paper.study import StudyLog
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


def table_1(logs: Sequence[StudyLog], work: Path) -> Table:
    """Of the logs that have been made."""
    rows: list[Row] = [PAPERS]
    for log in logs:
        directory = work / log.name / "log"
        rows.append(
            _row(log, describe(directory)) if directory.exists() else (log.title, *[None] * 8)
        )
    return Table("table1", HEADER, {"": rows})


def _row(log: StudyLog, described: LogDescription) -> Row:
    stages = {each.stage: each for each in described.stages}
    counts = [stages[name].events if name in stages else "–" for name in STAGES]
    ratios = [
        stages[name].previous_per_event or "–" if name in stages else "–" for name in STAGES[1:]
    ]
    first = described.first_stage_per_request if STAGES[0] in stages else "–"
    return (log.title, described.requests, described.items, *counts, first, *ratios)
