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

import os
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.watch.place import take_place
from service.watch.scrape import MULTIPROC_DIR

FILE, PLACES = "connections", 1024


class Connections:
    """Of one worker: those that are open, and those that are coming."""

    def __init__(self, counts_P: NDArray[np.int32], place: int) -> None:
        self._counts_P, self._place = counts_P, place
        self._held = 0
        self._listens = False

    def listen(self) -> None:
        """From now on this worker takes connections."""
        self._listens = True
        self.add(0)

    def leave(self) -> None:
        """It takes no more."""
        self._listens = False
        self._counts_P[self._place] = 0

    def add(self, change: int) -> None:
        """So many more, or fewer."""
        self._held += change
        if self._listens:
            self._counts_P[self._place] = 1 + self._held

    def fewer_elsewhere(self) -> bool:
        """Whether another worker has fewer than this one."""
        mine = self._counts_P[self._place]
        return bool(((self._counts_P > 0) & (self._counts_P < mine)).any())


@cache
def connections() -> Connections:
    """Of this process."""
    directory = os.environ.get(MULTIPROC_DIR)
    place = take_place(Path(directory)).number if directory else None
    if directory is None or place is None or place >= PLACES:
        return Connections(np.zeros(1, np.int32), 0)
    path = Path(directory) / FILE
    with path.open("ab") as file:  # made by whoever comes first
        file.truncate(4 * PLACES)
    return Connections(np.memmap(path, np.int32, "r+", shape=(PLACES,)), place)
