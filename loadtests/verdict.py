"""Hold a run's result table against its thresholds.

Decisions
- The result table is the CSV that locust writes: people can check a verdict by hand.
- Thresholds are a closed format: an unknown figure, or a row that the run did not produce, is an
  error or a miss, never a silent pass.

    misses = [v for v in judge(read_table(path), read_thresholds(path)) if not v.met]
"""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_COLUMNS = {
    "requests": "Request Count",
    "requests_per_second": "Requests/s",
    "p50_ms": "50%",
    "p95_ms": "95%",
    "p99_ms": "99%",
    "max_ms": "Max Response Time",
}
FIGURES = (*_COLUMNS, "failure_ratio")
Row = Mapping[str, float]


class ThresholdsError(ValueError):
    """A thresholds file that cannot be used: file, field, what was expected."""


@dataclass(frozen=True)
class Threshold:
    """One bound on one figure of one row."""

    row: str
    figure: str
    at_most: float = math.inf
    at_least: float = -math.inf

    @property
    def bound(self) -> str:
        """The bound as people write it."""
        sides = (("≥", self.at_least), ("≤", self.at_most))
        return " and ".join(f"{sign} {value:g}" for sign, value in sides if math.isfinite(value))


@dataclass(frozen=True)
class Verdict:
    """A threshold and what the run reached; nan when the run has no such row."""

    threshold: Threshold
    reached: float

    @property
    def met(self) -> bool:
        """Whether the figure is within its bound."""
        return self.threshold.at_least <= self.reached <= self.threshold.at_most


def read_thresholds(path: Path) -> list[Threshold]:
    """Read a thresholds file. Raises ThresholdsError."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["threshold"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise ThresholdsError(f"{path}: expected [[threshold]] tables: {error!r}") from error
    return [_threshold(path, number, entry) for number, entry in enumerate(entries, 1)]


def _threshold(path: Path, number: int, entry: Mapping[str, object]) -> Threshold:
    where = f"{path}: threshold {number}"
    bounds = {key: entry[key] for key in ("at_most", "at_least") if key in entry}
    unknown = sorted(set(entry) - {"row", "figure", "at_most", "at_least"})
    if unknown:
        raise ThresholdsError(f"{where}: {unknown[0]}: expected row, figure, at_most, at_least")
    if entry.get("figure") not in FIGURES:
        raise ThresholdsError(f"{where}: figure: expected one of {', '.join(FIGURES)}")
    if not isinstance(entry.get("row"), str):
        raise ThresholdsError(f"{where}: row: expected the name of a row of the result table")
    numbers = {k: float(v) for k, v in bounds.items() if isinstance(v, int | float)}
    if not bounds or len(numbers) < len(bounds):
        raise ThresholdsError(f"{where}: expected a number at_most, at_least or both")
    return Threshold(str(entry["row"]), str(entry["figure"]), **numbers)


def read_table(path: Path) -> dict[str, Row]:
    """Figures by row name from a run's `results.csv`."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["Name"]: _figures(row) for row in csv.DictReader(file)}


def _figures(row: Mapping[str, str]) -> Row:
    figures = {name: _number(row[column]) for name, column in _COLUMNS.items()}
    requests = figures["requests"]
    failures = _number(row["Failure Count"])
    return {**figures, "failure_ratio": failures / requests if requests else math.nan}


def _number(text: str) -> float:
    return math.nan if text in {"", "N/A"} else float(text)


def judge(table: Mapping[str, Row], thresholds: Sequence[Threshold]) -> list[Verdict]:
    """A verdict per threshold; a row that is missing misses all its thresholds."""
    return [Verdict(t, table.get(t.row, {}).get(t.figure, math.nan)) for t in thresholds]


def as_table(verdicts: Sequence[Verdict]) -> str:
    """Verdicts as aligned text, misses marked."""
    cells = [("row", "figure", "reached", "threshold", "")]
    cells += [
        (v.threshold.row, v.threshold.figure, f"{v.reached:.4g}", v.threshold.bound, _mark(v))
        for v in verdicts
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _mark(verdict: Verdict) -> str:
    if math.isnan(verdict.reached):
        return "MISSED: no such row in this run"
    return "met" if verdict.met else "MISSED"
