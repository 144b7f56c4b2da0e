"""The newest changes of the catalogue, beside the pair that is served.

Decisions
- A delta belongs to one index, is small, and is verified like it; it needs no golden queries of its
  own, since its vectors come from the bundle that has answered them.
- A delta that is broken, or deleted while it is read, is passed over for the next older one: the
  catalogue is then a few changes behind: `refused` says so, and the log why, once. It is read again
  when its directory changes, else every RETRY_S seconds: its files are hashed each time.
- So is one that takes more away from its index than a new pair may: a feed that was cut off must
  not empty the shop. Whoever hands the items in again is served, since deltas are net.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

from bundle.delta import delta_folder, position_name, positions, read_delta
from service.retrieval.fresh import with_delta
from service.snapshots.bounds import SizeBounds
from service.snapshots.snapshot import Snapshot

log = logging.getLogger(__name__)

RETRY_S = 30.0

Version = tuple[int, int, int]  # of a directory: another one, or other entries, are another


class FreshCatalogue:
    """Looks for deltas; remembers what it has complained of."""

    def __init__(self, bounds: SizeBounds) -> None:
        self._bounds, self._complained = bounds, ""
        self.refused = False  # whether there are newer changes than those that are served
        self._refused: dict[Version, float] = {}  # and when

    def newest(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with the newest sound delta of its pair; itself if there is none newer."""
        newer = [place for place in positions(snapshot.files) if place > snapshot.index.position]
        for position in reversed(newer):
            version = _version(delta_folder(snapshot.files) / position_name(position))
            if self._refused_lately(version):
                continue
            try:
                delta = read_delta(snapshot.files, position)
                self._bounds.check_delta("with them", delta, snapshot.files.item_ids_N)
                index = with_delta(snapshot.index, delta)
            except Exception as error:  # noqa: BLE001  (whatever it is, what is served goes on)
                self._refused[version] = time.monotonic()
                self._complain(f"changes up to {position} are not served: {error}")
                continue
            log.info("now serving %s with changes up to %d", snapshot.name, position)
            self.refused = position != newer[-1]
            return replace(snapshot, index=index)
        self.refused = bool(newer)
        return snapshot

    def _refused_lately(self, version: Version) -> bool:
        since = time.monotonic() - RETRY_S
        self._refused = {each: when for each, when in self._refused.items() if when > since}
        return version in self._refused

    def _complain(self, text: str) -> None:
        if text != self._complained:
            log.error(text)
            self._complained = text


def _version(directory: Path) -> Version:
    try:
        found = directory.stat()
    except OSError:  # deleted meanwhile, which reading it will tell
        return (0, 0, 0)
    return (found.st_dev, found.st_ino, found.st_mtime_ns)
