"""From CURRENT to a served snapshot, at start and whenever CURRENT changes.

Decisions
- A pair is served only after verify → open → golden queries, asked a few times as a warm-up.
- A new pair loads beside the old one and replaces it by one reference assignment. A pair that fails
  changes nothing: the old one keeps serving, the log says why, and it is tried again every
  RETRY_S seconds (a release may still be on its way to this machine).
- CURRENT is polled: a read per second of a small file works on every file system.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bundle.errors import BundleError
from bundle.manifest import Current
from bundle.store import read_current
from service.snapshots.golden import check_golden
from service.snapshots.snapshot import Snapshot, open_snapshot

log = logging.getLogger(__name__)

RETRY_S = 30.0
WARM_UP_ROUNDS = 3  # of all golden queries


class SnapshotHolder:
    """`snapshot` is what to serve now; a thread follows CURRENT between start() and stop()."""

    def __init__(
        self,
        releases: Path,
        *,
        poll_s: float,
        on_load: Callable[[Snapshot | None], None] = lambda _: None,
    ) -> None:
        """Load the published pair. Raises BundleError, GoldenCheckError or RuntimeError.

        `on_load` hears of each new snapshot, and None for each load that failed.
        """
        self._releases, self._poll_s, self._on_load = releases, poll_s, on_load
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="releases", daemon=True)
        self._failed: tuple[str, float] = ("", 0.0)  # what failed last, and when
        self.snapshot = load_snapshot(releases)
        on_load(self.snapshot)

    def start(self) -> None:
        """Follow CURRENT."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following; the snapshot stays."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _follow(self) -> None:
        while not self._stopping.wait(self._poll_s):
            self.look()

    def look(self) -> None:
        """Serve what CURRENT names, if it is new and sound."""
        try:
            current = read_current(self._releases)
        except (BundleError, OSError) as error:
            if self._due("CURRENT"):
                self._note_failure("CURRENT", error)
            return
        if current == self.snapshot.current:
            self._note_success()
        elif self._due(_name(current)):
            self._load(current)

    def _load(self, current: Current) -> None:
        began = time.monotonic()
        try:
            snapshot = load_snapshot(self._releases, current)
        except Exception as error:  # noqa: BLE001  (whatever it is, the old pair keeps serving)
            self._note_failure(_name(current), error)
            return
        self.snapshot = snapshot
        self._note_success()
        self._on_load(snapshot)
        log.info("now serving %s, loaded in %.1f s", _name(current), time.monotonic() - began)

    def _due(self, what: str) -> bool:
        """Whether to try, or to complain about, something that may have failed before."""
        failed, when = self._failed
        return failed != what or time.monotonic() - when >= RETRY_S

    def _note_failure(self, what: str, error: Exception) -> None:
        log.error("cannot serve %s, still serving %s: %s", what, self.snapshot.name, error)
        self._failed = (what, time.monotonic())
        self._on_load(None)

    def _note_success(self) -> None:
        if self._failed[0]:
            self._failed = ("", 0.0)
            self._on_load(self.snapshot)


def load_snapshot(releases: Path, current: Current | None = None) -> Snapshot:
    """Open the published pair, answer its golden queries, and warm up.

    Raises BundleError, GoldenCheckError, or RuntimeError from FAISS.
    """
    snapshot = open_snapshot(releases, current or read_current(releases))
    for _ in range(WARM_UP_ROUNDS):
        check_golden(snapshot)
    return snapshot


def _name(current: Current) -> str:
    return f"{current.run_id}/{current.build_id}"
