"""How many connections each worker of a service has, for the others to see.

Decisions
- One number for each place (watch/place.py), in a file beside the metrics that all workers map. A
  worker writes its own and reads the others'; nothing is locked, since being off by one only means
  that a connection goes to the other worker.
- 0 stands for nobody; whoever has no connections writes 1. What a killed worker had stays until the
  one that replaces it takes its place: others may wait for it for some milliseconds, no longer.
- Without places (an app inside another process) a worker knows of itself alone.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import MutableSequence
from functools import cache
from pathlib import Path
from typing import cast

from service.watch.place import take_place
from service.watch.scrape import MULTIPROC_DIR

FILE, PLACES = "connections", 64  # more workers than that know of themselves alone
SIZE = 4  # bytes of a number


class Connections:
    """Of one worker: those that are open, and those that are coming."""

    def __init__(self, counts: MutableSequence[int], place: int) -> None:
        self._counts, self._place = counts, place
        self._held = 0
        self._listens = False

    def listen(self) -> None:
        """From now on this worker takes connections."""
        self._listens = True
        self.add(0)

    def leave(self) -> None:
        """It takes no more."""
        self._listens = False
        self._counts[self._place] = 0

    def add(self, change: int) -> None:
        """So many more, or fewer."""
        self._held += change
        if self._listens:
            self._counts[self._place] = 1 + self._held

    def fewer_elsewhere(self) -> bool:
        """Whether another worker has fewer than this one."""
        mine = self._counts[self._place]
        return min(filter(None, self._counts), default=mine) < mine


@cache
def connections() -> Connections:
    """Of this process."""
    directory = os.environ.get(MULTIPROC_DIR)
    place = take_place(Path(directory)).number if directory else None
    if directory is None or place is None or place >= PLACES:
        return Connections([0], 0)
    with (Path(directory) / FILE).open("a+b") as file:  # made by whoever comes first
        file.truncate(PLACES * SIZE)
        counts = memoryview(mmap.mmap(file.fileno(), PLACES * SIZE)).cast("i")
    return Connections(cast("MutableSequence[int]", counts), place)
