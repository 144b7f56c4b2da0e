"""The store without a server: one SQLite file that all worker processes of one machine share.

Decisions
- Write-ahead logging lets readers and one writer work at once; `synchronous=FULL` makes an answered
  change survive a power cut. Changes are rare, so each operation opens its own connection: no
  state is shared between threads.
- Append-only is kept by the file itself: triggers refuse UPDATE and DELETE.
- Other processes notice a commit by `PRAGMA data_version`, a counter in shared memory: a poll costs
  some ten microseconds, so every 10 ms it costs a thousandth of a core.
- The file must lie on a local disk: SQLite's locks are not reliable on network file systems.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from service.weights.record import WeightsRecord
from service.weights.store import (
    StoreUnavailableError,
    VersionConflictError,
    read_record,
    read_records,
)

POLL_S = 0.01
BUSY_TIMEOUT_S = 5.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS history (
    scenario TEXT NOT NULL, version INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (scenario, version)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS history_keeps_records BEFORE UPDATE ON history
    BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER IF NOT EXISTS history_keeps_rows BEFORE DELETE ON history
    BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
"""


class EmbeddedStore:
    """A WeightsStore in the file at `path`, which is created with its folder if needed.

    A `frozen` one is read as it lies there, without a lock or a file beside it: where nothing can
    be written.
    """

    def __init__(self, path: Path, *, frozen: bool = False) -> None:
        self._path = path
        self._uri = path.absolute().as_uri() + ("?mode=ro&immutable=1" if frozen else "")
        if frozen:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailableError(f"weights file {path}: {error}") from error
        with self._open() as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(SCHEMA)

    def current(self) -> dict[str, WeightsRecord]:
        """The newest record of every scenario."""
        with self._open() as db:
            rows = db.execute(
                "SELECT scenario, record, max(version) FROM history GROUP BY scenario"
            )
            return read_records({scenario: record for scenario, record, _ in rows})

    def append(self, record: WeightsRecord) -> None:
        """Add the next version."""
        if not self._added((record,), after="="):
            newest = next(iter(self.history(record.scenario, 1)), None)
            raise VersionConflictError(record.version - 1, newest)

    def restore(self, *records: WeightsRecord) -> int:
        """Add them to what is older, all at once."""
        return self._added(records, after=">=")

    def history(self, scenario: str, limit: int, before: int | None = None) -> list[WeightsRecord]:
        """Records of a scenario below version `before`, newest first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT record FROM history WHERE scenario = ? AND (? IS NULL OR version < ?) "
                "ORDER BY version DESC LIMIT ?",
                (scenario, before, before, limit),
            )
            return [read_record(row[0]) for row in rows]

    @contextmanager
    def watch(self) -> Iterator[DataVersionWatch]:
        """Watch the file's commit counter through one connection held open."""
        with self._open() as db:
            yield DataVersionWatch(db)

    def close(self) -> None:
        """Nothing stays open between operations."""

    def _added(self, records: Sequence[WeightsRecord], after: Literal["=", ">="]) -> int:
        """How many: each of which the version before is the newest, or no older; all at once."""
        values = (
            (each.scenario, each.version, each.model_dump_json(), each.version - 1, each.scenario)
            for each in records
        )
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            inserted = db.executemany(
                f"INSERT INTO history SELECT ?, ?, ? WHERE ? {after} "  # noqa: S608  an operator
                "(SELECT coalesce(max(version), 0) FROM history WHERE scenario = ?)",
                values,
            )
            db.execute("COMMIT")
            return inserted.rowcount

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(
                sqlite3.connect(self._uri, timeout=BUSY_TIMEOUT_S, isolation_level=None, uri=True)
            ) as db:
                db.execute("PRAGMA synchronous=FULL")
                yield db
        except sqlite3.Error as error:
            raise StoreUnavailableError(f"weights file {self._path}: {error}") from error


class DataVersionWatch:
    """Notices commits by other connections, of this and of other processes."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._seen = self._version()

    def wait(self, timeout_s: float) -> bool:
        """Block until another connection committed (True) or the timeout passed (False)."""
        deadline = time.monotonic() + timeout_s
        while (version := self._version()) == self._seen:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)
        self._seen = version
        return True

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])
