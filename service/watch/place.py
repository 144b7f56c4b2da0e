"""A worker's place among the workers: the name of the files that it writes its metrics to.

Decisions
- A worker takes the first place that is free, and with it the files of whoever had it before: its
  counts go on from there, and its gauges begin anew. Named by process id, as the library's default
  has it, each worker that is killed would leave files, and each scrape would read all of them.
- A place is a name that the kernel gives to one process at a time, an abstract socket; it is free
  again when that process ends. The lock of a file would not do: a cleaner of old files removes it
  under a worker that lives, which then counts as dead, and its place as free.
- Where such names cannot be had, a worker goes by its process id; gauges of the dead stay then.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """The number of a place, and what holds it; None of both where places cannot be had."""

    number: int | None
    held: socket.socket | None


@cache  # holds the place for as long as the process lives
def take_place(directory: Path) -> Place:
    """Write this process's metrics to files of the first free place; before any metric is made."""
    try:
        tried = (Place(number, _taken(directory, number)) for number in count())
        place = next(place for place in tried if place.held)
        _forget(directory, place.number or 0)
        name = str(place.number)
    except OSError as error:
        place, name = Place(None, None), f"process-{os.getpid()}"  # no number: it may not be free
        log.warning("metrics go by process id, and gauges show workers that died: %s", error)
    values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]  # untyped there
    return place


def forget_the_dead(directory: Path) -> None:
    """Drop the gauges of workers that are no more; their counts stay."""
    found = (re.search(r"_(\d+)\.db$", path.name) for path in directory.glob("gauge_live*.db"))
    with suppress(OSError):  # no such names: see above
        for place in {int(match.group(1)) for match in found if match}:
            if held := _taken(directory, place):
                with held:  # nobody takes it meanwhile
                    _forget(directory, place)


def _forget(directory: Path, place: int) -> None:
    mark_process_dead(place, str(directory))  # type: ignore[no-untyped-call]  # untyped there


def _taken(directory: Path, place: int) -> socket.socket | None:
    """What holds a place from now on; None if another process has it."""
    found = directory.stat()
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(f"\0csmf-metrics-{found.st_dev}-{found.st_ino}-{place}")
    except OSError as error:
        held.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return held
