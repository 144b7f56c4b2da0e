"""What requests read: the current records, held in memory by each worker process.

Decisions
- `records` is an immutable mapping, replaced by one assignment: a request that reads it once sees
  one consistent state, without a lock and without the store.
- One thread per process waits for the store's change signal, and polls slowly beside it in case a
  signal is lost. If one was, the next ones may be too (a firewall forgets connections that are
  silent for long, and tells nobody), so the thread subscribes anew. A writer refreshes its own
  board before it answers, so it reads its own write.
- When the store is away, what is on the board stays in force; each refresh also copies it to this
  machine's disk, so that a restart without the store begins with the last known good.
- No operation removes a scenario or goes back to an older version. Where the store does (a Redis
  that came back empty, a replica that lagged and took over), it lost something: what is known stays
  in force and is put back into the store, with its history, so that a worker that knows nothing
  finds it there. Of two records with one version the store's is right; and where its history is
  another than ours (both halves of a parted Redis took changes), nothing of ours is put back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from service.weights.last_known import LastKnown
from service.weights.record import WeightsRecord
from service.weights.store import StoreUnavailableError, WeightsStore

log = logging.getLogger(__name__)

RETRY_S = 0.5  # between attempts to reach a store that is away
TURN_S = 2.0  # longest wait for another thread's refresh
COPY_S = 1.0  # longest that a start copies histories; the thread copies the rest
STOP_CHECK_S = 0.1  # longest wait before noticing stop()

Records = Mapping[str, WeightsRecord]
Observer = Callable[[Records, float | None], None]  # what is in force, when the store answered last


class WeightsBoard:
    """Current records of every scenario, kept fresh by a thread between start() and stop()."""

    def __init__(
        self,
        store: WeightsStore,
        last_known: LastKnown,
        *,
        poll_s: float,
        on_refresh: Observer = lambda *_: None,
        on_put_back: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._last_known, self._poll_s = store, last_known, poll_s
        self._on_refresh, self._on_put_back = on_refresh, on_put_back
        self._refreshing = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="weights-board", daemon=True)
        self._away = False
        self.records: Records = MappingProxyType({})
        self.refreshed_at: float | None = None  # Unix seconds of the store's last answer

    def start(self) -> None:
        """Begin with the last known records, bring them up to date, then follow changes."""
        self.records = MappingProxyType(self._last_known.records())
        try:
            self._last_known.follow(self._store, self._refresh(), COPY_S)
        except StoreUnavailableError as error:
            self._went_away(error)
            self._on_refresh(self.records, None)
        self._thread.start()

    def stop(self) -> None:
        """Stop following; the records stay readable."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def refresh(self) -> None:
        """Take over the store's records now, and put back what it lost.

        Raises StoreUnavailableError, changing nothing where the store could not be read. It is
        read under the lock: an older answer never replaces a newer one. Who waits for the lock in
        vain gives up: the store keeps the one that has it.
        """
        self._last_known.follow(self._store, self._refresh())

    def _refresh(self) -> Records:
        with self._turn():
            stored, known = self._store.current(), self.records
            lost = self._lost(known, stored)
            records = {**known, **stored, **lost}
            self._log_changes(known, records)
            self.records = MappingProxyType(records)
            self.refreshed_at = time.time()
            for record in lost.values():
                self.give_back(record)
            self._on_refresh(self.records, self.refreshed_at)
            return self.records

    def _lost(self, known: Records, stored: Records) -> Records:
        """What the store lost; without what it has another history of."""
        lost = dict(lost_records(known, stored))
        for name in [each for each in lost if each in stored]:
            there = stored[name]
            if self._last_known.contradicts(there):
                words = (name, there.version, there.author, lost.pop(name).version)
                log.error(
                    "weights of %s: the store's version %d, by %s, is not the one known here; "
                    "versions to %d were made elsewhere and are not in force any more",
                    *words,
                )
        return lost

    def give_back(self, record: WeightsRecord) -> None:
        """Put a record that the store lost back into it, with its history."""
        if count := self._last_known.give_back(self._store, record):
            words = (record.scenario, count, record.version)
            log.warning("the weights store lost %s; %d versions to %d were put back", *words)
            self._on_put_back()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._refreshing.acquire(timeout=TURN_S):
            raise StoreUnavailableError(f"it keeps another request waiting, {TURN_S:g} s by now")
        try:
            yield
        finally:
            self._refreshing.release()

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow_one_connection()
            except StoreUnavailableError as error:
                self._went_away(error)
            except Exception:
                log.exception("weights could not be refreshed; trying again")
            self._stopping.wait(RETRY_S)

    def _follow_one_connection(self) -> None:
        with self._store.watch() as watch:
            self._refresh_and_log()
            polled = time.monotonic()
            signalled = True
            while signalled and not self._stopping.is_set():
                changed = watch.wait(min(self._poll_s, STOP_CHECK_S))
                if changed or time.monotonic() - polled >= self._poll_s:
                    known = self.records
                    self._refresh_and_log()
                    signalled = changed or self.records == known
                    polled = time.monotonic()

    def _refresh_and_log(self) -> None:
        self.refresh()
        if self._away:
            log.info("weights store is back: %d scenarios", len(self.records))
            self._away = False

    def _went_away(self, error: StoreUnavailableError) -> None:
        if not self._away:
            log.warning("weights store is away, last known weights stay in force: %s", error)
            self._away = True

    def _log_changes(self, known: Records, records: Records) -> None:
        for name, record in records.items():
            if record != known.get(name):
                words = (name, record.version, record.author, record.summary(), record.reason)
                log.info("weights of %s: version %d by %s: %s (%s)", *words)


def lost_records(known: Records, stored: Records) -> Records:
    """What is known, of scenarios of which the store has nothing or only what is older."""
    return {
        name: record
        for name, record in known.items()
        if name not in stored or stored[name].version < record.version
    }
