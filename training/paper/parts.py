"""What the page says of one log, kept as a file of its own, so that the page grows part by part.

    keep(part, out)              out/parts/<log>-<kind>.json
    read_parts(study, out)       what is kept, in the order of the study

Decisions
- A study takes days; its parts may be measured on several machines and at several commits. Each
  part says on which, and is replaced only by a run that was asked for it.
- A part holds what the page shows: text of its sections, claims, and its rows of the tables over
  all logs. What was judged stays in the work directory, which may be gone when others are measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bundle.writing import write_atomically
from training.paper.statements import Statement
from training.paper.study import PARTS, Kind, Study
from training.paper.table import Cell, Mean, Row

FOLDER = "parts"


@dataclass(frozen=True)
class Part:
    """Of one log: its tables, its ablations or its sweeps."""

    log: str
    kind: Kind
    provenance: str  # of its runs
    runs: int  # that were judged, of so many
    expected: int
    hours: float  # of training, counting an exposure model in every run that starts from it
    statements: Sequence[Statement]
    rows: Mapping[str, Sequence[Row]]  # by table
    sections: Mapping[str, str]  # markdown by title


def keep(part: Part, out: Path) -> None:
    """Write the part's file, whole or not at all."""
    rows = {table: [[*map(_plain, row)] for row in each] for table, each in part.rows.items()}
    file = _file(out, part.log, part.kind)
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(part) | {"rows": rows}, indent=1, ensure_ascii=False)
    write_atomically(file, f"{text}\n".encode())


def read_parts(study: Study, out: Path) -> list[Part]:
    """Those of the study's logs, log by log."""
    files = [_file(out, log.name, kind) for log in study.logs for kind in PARTS]
    return [_read(file) for file in files if file.exists()]


def _file(out: Path, log: str, kind: Kind) -> Path:
    return out / FOLDER / f"{log}-{kind}.json"


def _read(file: Path) -> Part:
    kept = json.loads(file.read_text("utf-8"))
    kept["statements"] = [Statement(**each) for each in kept["statements"]]
    kept["rows"] = {
        table: [[*map(_cell, row)] for row in rows] for table, rows in kept["rows"].items()
    }
    return Part(**kept)


def _plain(cell: Cell) -> object:
    return asdict(cell) if isinstance(cell, Mean) else cell


def _cell(kept: object) -> Cell:
    match kept:
        case dict():
            return Mean(**kept)
        case None | str() | int() | float():
            return kept
    raise TypeError(f"no cell of a table: {kept!r}")
