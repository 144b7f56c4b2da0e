"""From the pair that CURRENT names to what is served, at start and whenever CURRENT changes.

Decisions
- A pair is served only once loading.py has held it against all it must be, while no other worker of
  this machine loads.
- A new pair loads beside the old one and replaces it by one reference assignment. A pair that is
  refused changes nothing: the old one keeps serving, the log says why, and it is tried again every
  RETRY_S seconds (a release may still be on its way to this machine).
- A worker that starts while CURRENT names nothing sound serves the pair that this machine served
  last: without that, one crash during a bad release would end the whole service.
- A pinned pair is served whatever CURRENT says, and whatever was served before.
- A pair during whose load a worker died is left alone for a while by all who have another to serve.
- Files are hashed once on a machine, not by each worker: see receipts.py. And what `csmf-serve` has
  checked it serves itself, where it is the only worker: nothing is loaded twice.
- CURRENT is polled: a read per second of a small file works on every file system.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bundle.manifest import Current
from bundle.store import pair_folders, read_current
from service.snapshots.bounds import Ids, SizeBounds
from service.snapshots.fresh import FreshCatalogue
from service.snapshots.last_known import ids_of, read_last_known, write_last_known
from service.snapshots.loading import NO_BOUNDS, load_snapshot, pinned
from service.snapshots.memory import give_back_memory
from service.snapshots.receipts import DAY_S, kept_receipts
from service.snapshots.refusal import Reason, reason_of
from service.snapshots.snapshot import Snapshot
from service.snapshots.turn import Turn

log = logging.getLogger(__name__)

RETRY_S = 30.0
LAST_REQUESTS_S = 1.0  # after a swap, until no request holds the old pair
Listener = Callable[[Snapshot, Reason | None, bool], None]
_handed_over: list[Snapshot] = []  # to the next holder of this process


def ignore(_snapshot: Snapshot, _refused: Reason | None, _changes_refused: bool) -> None:
    """A listener for those who only want the snapshot."""


class SnapshotHolder:
    """`snapshot` is what to serve now; a thread follows CURRENT between start() and stop()."""

    def __init__(
        self,
        releases: Path,
        state_dir: Path,
        *,
        poll_s: float,
        bounds: SizeBounds = NO_BOUNDS,
        pin: str = "",
        on_change: Listener = ignore,
    ) -> None:
        """Load a pair. Raises what is wrong with the published one if none can be served.

        `on_change` hears what is served, the reason while a newer pair is refused, and whether
        newer changes of its catalogue are.
        """
        self._releases, self._state_dir = releases, state_dir
        self._pinned = pinned(releases, pin) if pin else None
        self._poll_s, self._bounds, self._on_change = poll_s, bounds, on_change
        self._stopping, self._turn = threading.Event(), Turn(state_dir)
        self._thread = threading.Thread(target=self._follow, name="releases", daemon=True)
        self._fresh = FreshCatalogue(replace(bounds, max_shrink=1.0) if pin else bounds)
        self._failed: tuple[Current | str, float] = ("", 0.0)  # what was refused last, and when
        ready = _handed_over.pop() if _handed_over else None
        self._begin(ready)
        if not ready:
            give_back_memory()

    def hand_over(self) -> None:
        """Let the next holder of this process begin with what this one has loaded."""
        _handed_over.append(self.snapshot)

    def start(self) -> None:
        """Follow CURRENT."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following; the snapshot stays."""
        self._stopping.set()
        self._thread.join(timeout=5)
        if self._thread.is_alive():
            self._turn.leave()

    def look(self) -> None:
        """Serve what CURRENT names, if it is new and sound."""
        what: Current | str = "CURRENT"
        began = time.monotonic()
        try:
            wanted = self._wanted()
            if wanted == self.snapshot.current:
                self._end_refusal()
                self._freshen()
                return
            what = wanted
            if not self._due(what):
                return
            self._serve(self._load(wanted, self.snapshot.index.ids_N, self._bounds))
            spent = time.monotonic() - began
            log.info("now serving %s, loaded in %.1f s", self.snapshot.name, spent)
        except Exception as error:  # noqa: BLE001  (whatever it is, the old pair keeps serving)
            if self._due(what):
                self._refuse(what, error)

    def _follow(self) -> None:
        while not self._stopping.wait(self._poll_s):
            before = self.snapshot.current
            self.look()
            swapped = self.snapshot.current != before
            if swapped and not self._stopping.wait(LAST_REQUESTS_S):
                give_back_memory()

    def _begin(self, ready: Snapshot | None) -> None:
        """Serve the published pair, or else the one that was served last."""
        known = None if self._pinned else read_last_known(self._state_dir)
        what: Current | str = "CURRENT"
        try:
            what = wanted = self._wanted()
            if ready and ready.current == wanted:
                self._serve(ready)
            elif known is None or known == wanted:
                self._serve(self._load(wanted, None, self._bounds, whatever_happened=True))
            else:
                self._serve(self._load(wanted, ids_of(self._releases, known), self._bounds))
        except Exception as error:
            if known is None:
                raise
            try:
                self._serve(self._load(known, None, NO_BOUNDS, whatever_happened=True))
            except Exception:  # noqa: BLE001  (the published pair is the one to mend)
                raise error from None
            self._refuse(what, error)

    def _wanted(self) -> Current:
        return self._pinned or read_current(self._releases)

    def _load(
        self,
        wanted: Current,
        served_ids_N: Ids | None,
        bounds: SizeBounds,
        *,
        whatever_happened: bool = False,
    ) -> Snapshot:
        starting = not hasattr(self, "snapshot")
        beside_others = starting and multiprocessing.parent_process() is not None
        with (
            self._turn.taken(wanted, whatever_happened=whatever_happened),
            kept_receipts(self._state_dir, math.inf if beside_others else DAY_S) as receipts,
        ):
            if starting:  # this worker serves nobody yet
                receipts.hash_all(pair_folders(self._releases, wanted.run_id, wanted.build_id))
            return load_snapshot(self._releases, wanted, bounds, served_ids_N, receipts.digest)

    def _serve(self, snapshot: Snapshot) -> None:
        snapshot = self._fresh.newest(snapshot)
        self.snapshot = snapshot
        if not self._pinned:
            write_last_known(self._state_dir, snapshot.current)
        self._failed = ("", 0.0)
        self._on_change(snapshot, None, self._fresh.refused)

    def _freshen(self) -> None:
        """Serve changes of the catalogue that came since."""
        refused, newest = self._fresh.refused, self._fresh.newest(self.snapshot)
        if newest is not self.snapshot or self._fresh.refused != refused:
            self.snapshot = newest
            self._on_change(newest, None, self._fresh.refused)

    def _due(self, what: Current | str) -> bool:
        """Whether to try, or to complain about, something that may have been refused before."""
        failed, when = self._failed
        return failed != what or time.monotonic() - when >= RETRY_S

    def _refuse(self, what: Current | str, error: Exception) -> None:
        reason, served = reason_of(error), self.snapshot.name
        name = what if isinstance(what, str) else f"{what.run_id}/{what.build_id}"
        log.error("cannot serve %s (%s), still serving %s: %s", name, reason, served, error)
        self._failed = (what, time.monotonic())
        self._on_change(self.snapshot, reason, self._fresh.refused)

    def _end_refusal(self) -> None:
        if self._failed[0]:
            self._failed = ("", 0.0)
            self._on_change(self.snapshot, None, self._fresh.refused)
