"""Writes a log directory in row groups, so memory does not grow with the log.

Decisions
- The directory appears whole or not at all: tables are written beside it, fsynced, then renamed.
- An existing log is never overwritten; published data is immutable.
- Chunks are arrow tables, one row group each; the first chunk fixes a table's schema.

Use::

    with LogWriter(out, spec) as writer:
        writer.append("items", items)
        for requests, events in chunks:
            writer.append("requests", requests)
            writer.append("events", events)
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bundle.writing import fsync
from training.logs.errors import LogError
from training.logs.spec import SPEC_FILE, LogSpec

if TYPE_CHECKING:
    from training.logs.reader import Log

TableName = Literal["requests", "events", "items", "users"]
ROW_GROUP = 1 << 17


def refuse_existing(out: Path) -> None:
    """Raises LogError unless ``out`` can be created; an empty directory counts as absent."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise LogError(
            str(out), None, None, "it exists already", "Choose another --out or remove it"
        )


class LogWriter:
    """A context manager; the log is published when the block ends without an error."""

    def __init__(self, out: Path, spec: LogSpec) -> None:
        refuse_existing(out)
        self._out = out
        self._spec = spec
        self._writers: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> Self:
        self._out.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{self._out.name}.partial-"
        self._partial = Path(tempfile.mkdtemp(prefix=prefix, dir=self._out.parent))
        return self

    def append(self, table: TableName, rows: pa.Table | pl.DataFrame) -> None:
        """Appends rows to a table; every chunk of a table has the same columns and types."""
        chunk = rows.to_arrow() if isinstance(rows, pl.DataFrame) else rows
        if table not in self._writers:
            path = self._partial / f"{table}.parquet"
            self._writers[table] = pq.ParquetWriter(path, chunk.schema, compression="zstd")
        self._writers[table].write_table(chunk, row_group_size=ROW_GROUP)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in self._writers.values():
            writer.close()
        if kind is not None:
            shutil.rmtree(self._partial)
            return
        (self._partial / SPEC_FILE).write_text(self._spec.to_yaml(), encoding="utf-8")
        self._partial.chmod(0o755)  # mkdtemp makes it private
        for path in (*self._partial.iterdir(), self._partial):
            fsync(path)
        self._partial.replace(self._out)
        fsync(self._out.parent)


def write_log(log: Log, out: Path) -> None:
    """Writes a log held in memory."""
    tables: dict[TableName, pl.DataFrame | None] = {
        "requests": log.requests,
        "events": log.events,
        "items": log.items,
        "users": log.users,
    }
    with LogWriter(out, log.spec) as writer:
        for name, frame in tables.items():
            if frame is not None:
                writer.append(name, frame)
