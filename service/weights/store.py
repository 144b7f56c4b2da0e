"""What a weights store must do, and the two changes operators make through it.

Decisions
- A store has one write, `append`: atomically add the next version of a scenario. Compare-and-set,
  set and rollback are all built on it here, so that both stores behave alike.
- History is append-only; the newest entry is the current record.
- A record that another program spoilt is left out and reported; the other scenarios go on.
- A store only blocks threads, never the event loop: requests read the board, not the store.

Use: `set_weights(store, Change("feed", author, reason), weights)`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

from pydantic import ValidationError

from service.weights.record import WeightsRecord

log = logging.getLogger(__name__)

APPEND_ATTEMPTS = 20  # an unconditional set that loses this many races in a row gives up


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
        super().__init__(f"there is no version {version}; versions are 1 to {newest}")


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

    def history(self, scenario: str, limit: int, before: int | None = None) -> list[WeightsRecord]:
        """At most `limit` records of a scenario below version `before`, newest first."""

    def watch(self) -> AbstractContextManager[Watch]:
        """Subscribe: no change after this call goes unnoticed."""

    def close(self) -> None:
        """Release connections."""


@dataclass(frozen=True)
class Change:
    """Who changes a scenario and why; with `expected_version`, only if it is still there."""

    scenario: str
    author: str
    reason: str
    expected_version: int | None = None


def set_weights(store: WeightsStore, change: Change, weights: dict[str, float]) -> WeightsRecord:
    """Make `weights` the scenario's next version. Raises VersionConflictError."""
    for attempt in range(APPEND_ATTEMPTS):
        newest = _newest(store, change.scenario)
        version = newest.version if newest else 0
        if change.expected_version not in (None, version):
            raise VersionConflictError(change.expected_version, newest)
        record = WeightsRecord(
            scenario=change.scenario,
            version=version + 1,
            weights=weights,
            author=change.author,
            reason=change.reason,
            time=datetime.now(UTC),
        )
        try:
            store.append(record)
        except VersionConflictError:
            if change.expected_version is not None or attempt == APPEND_ATTEMPTS - 1:
                raise
        else:
            return record
    raise AssertionError("unreachable: the last attempt returns or raises")


def roll_back(
    store: WeightsStore,
    change: Change,
    to_version: int,
    *,
    check: Callable[[Mapping[str, float]], None] = lambda _: None,
) -> WeightsRecord:
    """Make the weights of an older version the next one; history keeps both.

    `check` may raise if those weights cannot be served any more. Raises UnknownVersionError and
    VersionConflictError.
    """
    found = store.history(change.scenario, limit=1, before=to_version + 1)
    if not found or found[0].version != to_version:
        newest = _newest(store, change.scenario)
        raise UnknownVersionError(to_version, newest.version if newest else 0)
    check(found[0].weights)
    return set_weights(store, change, found[0].weights)


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


def _newest(store: WeightsStore, scenario: str) -> WeightsRecord | None:
    return next(iter(store.history(scenario, limit=1)), None)
