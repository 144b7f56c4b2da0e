"""What a machine knows of all weights, on its own disk: to start by while the store is away, and to
give back to a store that lost its history.

Decisions
- It is a store of the embedded kind that follows the shared one: each version that is new there is
  copied, also those between two looks. So a start begins with what was in force, and a store that
  came back empty gets back the newest MOST versions of each scenario, not the last alone.
- Workers of a machine share it. All add versions in their order, each only to older ones: nothing
  is copied twice, and nothing is left out.
- A history that cannot be read is tried again once, before a hole is left in the copy for good.
- It is a copy: where it cannot be read it is put aside and begins anew, where it cannot be written
  (a full disk) that is reported, it is read as it is, and requests and changes go on.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from service.weights.embedded import EmbeddedStore
from service.weights.record import WeightsRecord
from service.weights.store import StoreUnavailableError, WeightsStore

log = logging.getLogger(__name__)

MOST = 1000  # versions of a scenario
PARTS = ("", "-wal", "-shm")  # files of SQLite


class LastKnown:
    """The copy at `path`; without a file where none can be made."""

    def __init__(self, path: Path) -> None:
        self._store = _opened(path) or (_opened(path) if _put_aside(path) else None)
        frozen = self._store is None and path.exists()
        self._readable = _opened(path, frozen=True) if frozen else self._store
        self._copied: dict[str, int] = {}  # newest version by scenario
        self._holes: set[str] = set()  # scenarios whose history could not be read

    def records(self) -> dict[str, WeightsRecord]:
        """The newest record of every scenario."""
        try:
            found = self._readable.current() if self._readable else {}
        except StoreUnavailableError as error:
            log.warning("last known weights cannot be read: %s", error)
            return {}
        self._copied = {scenario: record.version for scenario, record in found.items()}
        return found

    def follow(
        self,
        store: WeightsStore,
        records: Mapping[str, WeightsRecord],
        within_s: float = math.inf,
    ) -> None:
        """Copy what is new in these records and, from the store, what came before them.

        What is not begun in time is left for the next time.
        """
        began = time.monotonic()
        for scenario, record in records.items():
            have = self._copied.get(scenario, 0)
            if self._store is None or record.version <= have:
                continue
            if time.monotonic() - began >= within_s:
                return
            older = _older(store, record, have)
            if older is None and scenario not in self._holes:
                self._holes.add(scenario)
                return  # the others would wait for it in vain, too
            try:
                self._store.restore(*(older or ()), record)
                self._copied[scenario] = record.version
                self._holes.discard(scenario)
            except StoreUnavailableError as error:
                log.warning("last known weights cannot be saved: %s", error)

    def contradicts(self, record: WeightsRecord) -> bool:
        """Whether another record of this version is known."""
        try:
            found = _at(self._readable, record) if self._readable else []
        except StoreUnavailableError:
            return False
        return any(each.version == record.version and each != record for each in found)

    def give_back(self, store: WeightsStore, record: WeightsRecord) -> int:
        """Put what a store lost back into it, oldest first; how many versions.

        Raises StoreUnavailableError for the store that lost it.
        """
        older = _older(self._readable, record, 0) if self._readable else None
        return store.restore(*(older or ()), record)


def _at(store: WeightsStore, record: WeightsRecord) -> list[WeightsRecord]:
    return store.history(record.scenario, 1, before=record.version + 1)


def _older(store: WeightsStore, record: WeightsRecord, have: int) -> list[WeightsRecord] | None:
    """Versions after `have` and before the record's, oldest first; None if they are unreadable."""
    between = min(MOST, record.version - have - 1)
    try:
        found = store.history(record.scenario, between, before=record.version) if between else []
    except StoreUnavailableError as error:
        log.warning("of weights of %s only the newest is known: %s", record.scenario, error)
        return None
    return [each for each in reversed(found) if each.version > have]


def _opened(path: Path, *, frozen: bool = False) -> EmbeddedStore | None:
    try:
        store = EmbeddedStore(path, frozen=frozen)
        store.current()
    except StoreUnavailableError as error:
        log.warning("last known weights cannot be read: %s", error)
        return None
    return store


def _put_aside(path: Path) -> bool:
    """Rename a file that is no database, with what belongs to it; whether it was one."""
    try:
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA schema_version")
    except sqlite3.OperationalError:  # away, locked, not allowed
        return False
    except sqlite3.DatabaseError:
        for part in PARTS:
            with suppress(OSError):
                file = path.with_name(path.name + part)
                file.replace(file.with_name(f"unreadable-{file.name}"))
        return True
    return False
