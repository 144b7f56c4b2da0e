"""What a weights store must do.

Decisions
- A store has one write, `append`: atomically add the next version of a scenario. Every change that
  operators make is built on it in changes.py, so that both stores behave alike.
- History is append-only; the newest entry is the current record.
- A store may lose records: a Redis that comes back empty, a replica that took over and lagged, an
  older copy of the file. Whoever still has a newer one puts it back with `restore`. Versions
  therefore never start again; what history lost is a gap.
- A record that another program spoilt is left out and reported; the other scenarios go on.
- A store only blocks threads, never the event loop: requests read the board, not the store.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Protocol

from pydantic import ValidationError

from service.weights.record import WeightsRecord

log = logging.getLogger(__name__)


class StoreUnavailableError(Exception):
    """The store, or a record in it, cannot be read; what is already on the board stays in force."""


class VersionConflictError(Exception):
    """The scenario is not at the version the caller expected."""

    def __init__(self, expected: int, current: WeightsRecord | None) -> None:
        self.expected, self.current = expected, current
        found = current.version if current else 0
        super().__init__(f"expected version {expected}, the scenario is at version {found}")


class UnknownVersionError(Exception):
    """A rollback names a version that the scenario never had."""

    def __init__(self, version: int, newest: int) -> None:
        self.version, self.newest = version, newest
        self.lost = 1 <= version <= newest
        which = "there is no" if not self.lost else "the store lost"
        super().__init__(f"{which} version {version}; versions are 1 to {newest}")


class Watch(Protocol):
    """A subscription to changes made by any process."""

    def wait(self, timeout_s: float) -> bool:
        """Block until something may have changed (True) or the timeout passed (False)."""


class WeightsStore(Protocol):
    """Current records and append-only history. Every method raises StoreUnavailableError."""

    def current(self) -> dict[str, WeightsRecord]:
        """The newest record of every scenario."""

    def append(self, record: WeightsRecord) -> None:
        """Add `record` if its version is the next one. Raises VersionConflictError."""

    def restore(self, *records: WeightsRecord) -> int:
        """Add records of one scenario, oldest first, to what is older, all at once; how many.

        Nobody sees a part of them.
        """

    def history(self, scenario: str, limit: int, before: int | None = None) -> list[WeightsRecord]:
        """At most `limit` records of a scenario below version `before`, newest first."""

    def watch(self) -> AbstractContextManager[Watch]:
        """Subscribe: no change after this call goes unnoticed."""

    def close(self) -> None:
        """Release connections."""


def read_records(texts: Mapping[str, str]) -> dict[str, WeightsRecord]:
    """Stored records by scenario, without those that are not records."""
    records = {}
    for scenario, text in texts.items():
        try:
            records[scenario] = read_record(text)
        except StoreUnavailableError as error:
            _report_unreadable(scenario, str(error))
    return records


@lru_cache(maxsize=100)  # once for each fault, not at each refresh
def _report_unreadable(scenario: str, problem: str) -> None:
    log.warning("weights of %r are left out: %s", scenario, problem)


def read_record(text: str) -> WeightsRecord:
    """A stored record; StoreUnavailableError if another program wrote something else there."""
    try:
        return WeightsRecord.model_validate_json(text)
    except ValidationError as error:
        raise StoreUnavailableError(f"not a weights record: {text[:200]!r}") from error
