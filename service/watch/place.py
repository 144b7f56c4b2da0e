"""A worker's place among the workers: the name of the files that it writes its metrics to.

Decisions
- A worker takes the first place that is free, and with it the files of whoever had it before: its
  counts go on from there, and its gauges begin anew. Named by process id, as the library's default
  has it, each worker that is killed would leave files, and each scrape would read all of them.
- A place is free when nobody holds the lock of its file; the system lets go of it for the dead.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import IO

from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead


@cache  # holds the lock for as long as the process lives
def take_place(directory: Path) -> IO[bytes]:
    """Write this process's metrics to files of the first free place; before any metric is made."""
    tried = ((place, _locked(directory, place)) for place in count())
    place, lock = next((place, lock) for place, lock in tried if lock)
    _forget(directory, place)
    values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]  # untyped there
    return lock


def forget_the_dead(directory: Path) -> None:
    """Drop the gauges of workers that are no more; their counts stay."""
    found = (re.search(r"_(\d+)\.db$", path.name) for path in directory.glob("gauge_live*.db"))
    for place in {int(match.group(1)) for match in found if match}:
        with _if_free(directory, place) as free:
            if free:
                _forget(directory, place)


def _forget(directory: Path, place: int) -> None:
    mark_process_dead(place, str(directory))  # type: ignore[no-untyped-call]  # untyped there


@contextmanager
def _if_free(directory: Path, place: int) -> Iterator[bool]:
    """Whether a place is free; nobody takes it meanwhile."""
    lock = _locked(directory, place)
    try:
        yield lock is not None
    finally:
        if lock:
            lock.close()


def _locked(directory: Path, place: int) -> IO[bytes] | None:
    file = (directory / f"place_{place}.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
