"""The journal of the catalogue: every change, in order, never changed itself.

releases/changes/<position>.parquet, from 00000001 on

Decisions
- An entry is a table of rows as in `items.parquet`, with `removed`; a row replaces its item whole.
- An entry is written under a temporary name, synced, and linked to the next free position: half an
  entry can never be read, and no two writers get one position.
- Whoever appends, or publishes, holds the lock. The kernel frees it with the process.
- The net effect of some entries is what each item's last row says, so they are read from the last
  one back, and of each only what no later one says is kept in memory.
- Columns may come and go between entries: a missing one counts as missing values, and types are
  widened where they can be.

    with journal.locked():
        position = journal.append(table)
    changes = journal.net(after=0, upto=position)
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bundle.delta import position_name
from bundle.store import DELTAS
from bundle.writing import STAGING_PREFIX, fsync
from index_builder.errors import InputError

FOLDER = "changes"
ID, REMOVED = "item_id", "removed"


@dataclass(frozen=True)
class Changes:
    """Net effect of some entries: rows of the items that are there, ids of those that are not."""

    items: pa.Table
    removed: list[str]

    @property
    def touched(self) -> pa.Array:
        """Ids of all items that changed."""
        return pa.array([*self.items[ID].to_pylist(), *self.removed], pa.string())


@dataclass(frozen=True)
class Journal:
    """The entries of one releases directory."""

    releases: Path

    @property
    def folder(self) -> Path:
        """Where the entries lie."""
        return self.releases / FOLDER

    def end(self) -> int:
        """The last position; 0 for an empty journal. Raises InputError if one is missing."""
        names = [path.stem for path in self.folder.glob("*.parquet")]
        found = sorted(int(name) for name in names if re.fullmatch(r"\d{8}", name))
        if found != list(range(1, len(found) + 1)):
            missing = next(n for n in range(1, found[-1] + 1) if n not in set(found))
            raise InputError(
                str(self.folder),
                f"{position_name(missing)}.parquet",
                found="missing",
                remedy="restore it from a copy: later changes mean nothing without it",
            )
        return len(found)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else append or publish meanwhile."""
        lock = os.open(self.releases, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._sweep()
            yield
        finally:
            os.close(lock)

    def _sweep(self) -> None:
        """Remove what writers left that were killed: a living one would hold the lock."""
        for path in self.releases.glob(f"*/{DELTAS}/*/{STAGING_PREFIX}*"):
            shutil.rmtree(path)
        for folder in (self.folder, self.releases):
            for path in folder.glob(f"{STAGING_PREFIX}*"):
                if path.is_file():  # a directory is a bundle that is being trained
                    path.unlink()

    def append(self, rows: pa.Table) -> int:
        """Add an entry; its position. Hold the lock."""
        position = self.end() + 1
        self.folder.mkdir(exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=STAGING_PREFIX, dir=self.folder)
        os.close(descriptor)
        pq.write_table(rows, name)
        Path(name).chmod(0o644)
        fsync(Path(name))
        os.link(name, self._path(position))
        Path(name).unlink()
        fsync(self.folder)
        return position

    def net(self, after: int, upto: int, *more: pa.Table) -> Changes:
        """The net effect of the entries after one position, up to another, and of more to come.

        Raises InputError if one cannot be read, or if they do not go together.
        """
        entries = (self._read(position) for position in range(upto, after, -1))
        known: set[str] = set()
        last = [_not_known(rows, known) for rows in chain(reversed(more), entries)]
        try:
            rows = pa.concat_tables(reversed(last), promote_options="permissive")
        except pa.ArrowException as error:
            raise InputError(
                str(self.folder),
                f"entries {after + 1} to {upto}",
                found=f"columns of types that do not go together ({error})",
                remedy="give a column the same type in all changes",
            ) from None
        removed = rows[REMOVED]
        items = rows.filter(pc.invert(removed)).drop_columns(REMOVED)
        return Changes(items, rows.filter(removed)[ID].to_pylist())

    def _read(self, position: int) -> pa.Table:
        try:
            return pq.read_table(self._path(position))
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                str(self._path(position)),
                "",
                found=f"not an entry ({str(error).splitlines()[0][:120]})",
                remedy="restore it from a copy: entries never change",
            ) from None

    def _path(self, position: int) -> Path:
        return self.folder / f"{position_name(position)}.parquet"


def _not_known(rows: pa.Table, known: set[str]) -> pa.Table:
    """The last row of each item that is not known yet; known from now on."""
    kept = []
    for row, item_id in reversed([*enumerate(rows[ID].to_pylist())]):
        if item_id not in known:
            known.add(item_id)
            kept.append(row)
    return rows.take(pa.array(kept[::-1], pa.int64()))
