"""A table of figures: once for people, once for programs.

Decisions
- A cell is a word, a number, a mean over seeds or a difference; None is "not run". The page shows
  three decimals; the CSV has all of them, and a column for each part of a mean or a difference.
- Rows may be grouped under headings; in the CSV the heading is a column.

Use: `Table("table2", ("method", "recall@50"), {"": [("csmf", Mean(0.3, 0.01, 5))]}).markdown()`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle.writing import write_atomically
from training.evaluation.intervals import REPLICATES, Difference

NOT_RUN = "not run"
LEAST_P = 2 / (REPLICATES + 1)  # that so many draws can give


@dataclass(frozen=True)
class Mean:
    """Over seeds; the spread is their standard deviation, None for one seed."""

    value: float
    spread: float | None
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean | None:
        """None of no values."""
        if not values:
            return None
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return cls(float(np.mean(values)), spread, len(values))


Cell = str | int | float | Mean | Difference | None
Row = Sequence[Cell]
_PARTS: Mapping[type, tuple[str, ...]] = {
    Mean: ("", " spread", " seeds"),
    Difference: ("", " low", " high", " p"),
}


@dataclass(frozen=True)
class Table:
    """Rows by heading, "" for none."""

    name: str  # of its file
    header: tuple[str, ...]
    groups: Mapping[str, Sequence[Row]]

    def markdown(self) -> str:
        """For the page."""
        lines: list[Sequence[str]] = [self.header, ["---"] * len(self.header)]
        for heading, rows in self.groups.items():
            if heading and rows:
                lines.append([f"*{heading}*", *[""] * (len(self.header) - 1)])
            lines += [_line(row) for row in rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def csv(self) -> str:
        """For programs."""
        rows = [(heading, *row) for heading, rows in self.groups.items() for row in rows]
        columns = list(zip(*rows, strict=True)) or [()] * (len(self.header) + 1)
        split = [_parts(column) for column in columns]
        names = zip(("group", *self.header), split, strict=True)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([f"{name}{part}" for name, parts in names for part in parts])
        for row in rows:
            cells = zip(row, split, strict=True)
            writer.writerow([value for cell, parts in cells for value in _values(cell, len(parts))])
        return text.getvalue()


def link(table: Table, out: Path) -> str:
    """Write the table's file to a directory; a link to it from a page there."""
    write_atomically(out / f"{table.name}.csv", table.csv().encode())
    return f"[{table.name}.csv]({table.name}.csv)"


def linked(table: Table, out: Path) -> str:
    """The table for the page, with a link to its file."""
    return f"{table.markdown()}\n\n{link(table, out)}"


def together(name: str, tables: Mapping[str, Table]) -> Table:
    """Tables of one header as one, by their titles."""
    groups = {
        f"{title}; {heading}": rows
        for title, table in tables.items()
        for heading, rows in table.groups.items()
    }
    return Table(name, next(iter(tables.values())).header, groups)


def _line(row: Row) -> list[str]:
    """A row; of one that has not been run at all, that is said once."""
    if len(row) > 2 and all(cell is None for cell in row[1:]):
        return [shown(row[0]), NOT_RUN, *[""] * (len(row) - 2)]
    return [shown(cell).replace("|", "\\|") for cell in row]


def shown(cell: Cell) -> str:
    """One cell, for people."""
    match cell:
        case None:
            return NOT_RUN
        case Mean(value, spread):
            digits = _digits(value)
            return f"{value:,.{digits}f}" + ("" if spread is None else f" ± {spread:,.{digits}f}")
        case Difference(estimate, low, high, p):
            span = f"({_signed(low)} to {_signed(high)})"
            return f"{_signed(estimate)} {span}, p {'≤ ' if p <= LEAST_P else ''}{p:.3f}"
        case float():
            return f"{cell:,.{_digits(cell)}f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _signed(value: float) -> str:
    """Three digits, and no zero below zero."""
    return f"{round(value, 3) + 0:+.3f}"


def _digits(value: float) -> int:
    """After the point: recall has three, ratios two, seconds fewer."""
    return 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0


def _parts(column: Sequence[Cell]) -> tuple[str, ...]:
    """What a column's names end in: as many as its cells have parts."""
    return next((_PARTS[type(cell)] for cell in column if type(cell) in _PARTS), ("",))


def _values(cell: Cell, parts: int) -> list[object]:
    match cell:
        case None:
            return [""] * parts
        case Mean(value, spread, seeds):
            return [value, "" if spread is None else spread, seeds]
        case Difference(estimate, low, high, p):
            return [estimate, low, high, p]
    return [cell, *[""] * (parts - 1)]
