"""The changes that operators make: each reads the newest record and appends the next version.

Decisions
- A change keeps what it does not name: setting weights leaves variants and schedule as they are, a
  new share leaves weights and all other users where they are. A rollback alone names everything.
- Every change is one edit, a function from the record before to the fields that differ, and
  `amend` makes it a version: by compare-and-set with `expected_version`, else tried again on
  whatever came in between.
- Writers of one process take turns. The store alone keeps history linear, but in a burst writers
  would lose race after race against each other, and SQLite's locks starve some of them. Who waited
  for a turn in vain goes on without: a store that is away must not hold up more than it does.
- What is in force is the record before, if the caller names it, although the store has no record of
  it: the bundle's default, or what a store lost. That is put back first, so that versions go on.
- A schedule without end has, once it began, the place of the scenario's weights. Weights set after
  that replace it: they would have no effect otherwise. Another schedule makes them the scenario's
  own: it is for a time, and they are what to return to.

Use: `set_weights(store, Change("feed", author, reason), weights)`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from service.weights.record import DEFAULT_SCENARIO, Schedule, WeightsRecord
from service.weights.store import UnknownVersionError, VersionConflictError, WeightsStore

MOST_SCENARIOS = 1000  # each has its own labels among the metrics, and nothing removes one
APPEND_ATTEMPTS = 20  # an unconditional change that loses this many races in a row gives up
TURN_S = 2.0  # longest wait for one's turn to write
_turns = threading.Lock()

Weights = dict[str, float]
Edit = Callable[[WeightsRecord | None, datetime], Mapping[str, object]]


class ChangeError(ValueError):
    """A change that makes no sense here: which field, its value, what was expected."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field, self.value, self.expected = field, value, expected
        super().__init__(f"{field}: expected {expected}, got {value!r}")


class NoScheduleError(Exception):
    """The scenario has no schedule that could be cancelled."""


@dataclass(frozen=True)
class Change:
    """Who changes a scenario and why; with `expected_version`, only if it is still there."""

    scenario: str
    author: str
    reason: str
    expected_version: int | None = None
    in_force: WeightsRecord | None = None  # kept, where the store has no record
    give_back: Callable[[WeightsRecord], object] | None = None  # with its history; else it alone


def set_weights(store: WeightsStore, change: Change, weights: Weights) -> WeightsRecord:
    """Make `weights` the scenario's own."""
    return amend(store, change, lambda before, now: own_weights(before, weights, now))


def schedule(
    store: WeightsStore,
    change: Change,
    weights: Weights,
    begin: datetime | None = None,
    end: datetime | None = None,
) -> WeightsRecord:
    """Put other weights in force from `begin` (or now) to `end` (or for good)."""

    def edit(before: WeightsRecord | None, now: datetime) -> Mapping[str, object]:
        if end and end <= max(begin or now, now):
            latest = max(begin or now, now).isoformat(timespec="seconds")
            raise ChangeError("until", end.isoformat(), f"a time after {latest}")
        planned = Schedule.model_validate(_times(begin or now, end, weights))
        return {"weights": _weights_in_place(existing(before, change), now), "schedule": planned}

    return amend(store, change, edit)


def cancel(store: WeightsStore, change: Change) -> WeightsRecord:
    """Drop the schedule, begun or not: the scenario's own weights are in force."""

    def edit(before: WeightsRecord | None, _: datetime) -> Mapping[str, object]:
        if existing(before, change).schedule is None:
            raise NoScheduleError
        return {"schedule": None}

    return amend(store, change, edit)


def roll_back(
    store: WeightsStore,
    change: Change,
    to_version: int,
    *,
    first: WeightsRecord | None = None,
    check: Callable[[WeightsRecord], None] = lambda _: None,
) -> WeightsRecord:
    """Make all that an older version says the next one; history keeps both.

    `first` is version 0, where the scenario has one: what was in force before anybody set it.
    `check` may raise if that version cannot be served any more. Raises UnknownVersionError.
    """
    newest = _newest(store, change)
    before = to_version == 0 and first
    found = [before] if before else store.history(change.scenario, 1, before=to_version + 1)
    if not found or found[0].version != to_version:
        raise UnknownVersionError(to_version, newest.version if newest else 0)
    check(found[0])
    return amend(store, change, lambda *_: _content(found[0]))


def amend(store: WeightsStore, change: Change, edit: Edit) -> WeightsRecord:
    """Append the next version: the one before, with what the edit says. VersionConflictError."""
    with _turn():
        for _ in range(APPEND_ATTEMPTS - 1):
            try:
                return _append_next(store, change, edit)
            except VersionConflictError:
                if change.expected_version is not None:
                    raise
        return _append_next(store, change, edit)


@contextmanager
def _turn() -> Iterator[None]:
    taken = _turns.acquire(timeout=TURN_S)
    try:
        yield
    finally:
        if taken:
            _turns.release()


def _append_next(store: WeightsStore, change: Change, edit: Edit) -> WeightsRecord:
    newest = _newest(store, change)
    version, now = (newest.version if newest else 0), datetime.now(UTC)
    if change.expected_version not in (None, version):
        raise VersionConflictError(change.expected_version, newest)
    before = newest or change.in_force
    if newest is None and change.scenario != DEFAULT_SCENARIO:
        _check_room(store, change)
    record = WeightsRecord.model_validate(
        {
            **(_content(before) if before else {}),
            **edit(before, now),
            "scenario": change.scenario,
            "version": version + 1,
            "author": change.author,
            "reason": change.reason,
            "time": now,
        }
    )
    store.append(record)
    return record


def _check_room(store: WeightsStore, change: Change) -> None:
    if len(store.current()) >= MOST_SCENARIOS:
        expected = f"one of the scenarios that there are: {MOST_SCENARIOS} is the most"
        raise ChangeError("scenario", change.scenario, expected)


def _content(record: WeightsRecord) -> dict[str, object]:
    return {
        "weights": record.weights,
        "variants": record.variants,
        "schedule": record.schedule,
    }


def own_weights(
    before: WeightsRecord | None, weights: Weights, now: datetime
) -> Mapping[str, object]:
    """The edit that makes these the scenario's own weights."""
    if before and _in_force_for_good(before, now):
        return {"weights": weights, "schedule": None}
    return {"weights": weights}


def _weights_in_place(record: WeightsRecord, now: datetime) -> Weights:
    """The scenario's own weights, or what took their place for good."""
    planned = _in_force_for_good(record, now)
    return planned.weights if planned else record.weights


def _in_force_for_good(record: WeightsRecord, now: datetime) -> Schedule | None:
    planned = record.schedule
    endless = planned and planned.until is None and planned.state(now) == "in force"
    return planned if endless else None


def existing(before: WeightsRecord | None, change: Change) -> WeightsRecord:
    """The record before. Raises ChangeError where only weights can begin a scenario."""
    if before is None:
        raise ChangeError("scenario", change.scenario, "a scenario that has weights")
    return before


def _times(begin: datetime, end: datetime | None, weights: Weights) -> dict[str, object]:
    until = end.astimezone(UTC) if end else None
    return {"weights": weights, "from": begin.astimezone(UTC), "until": until}


def _newest(store: WeightsStore, change: Change) -> WeightsRecord | None:
    """The store's newest record; what it lost of the one in force is put back."""
    newest, known = next(iter(store.history(change.scenario, limit=1)), None), change.in_force
    if known and known.version > (newest.version if newest else 0):
        (change.give_back or store.restore)(known)
        return known
    return newest
