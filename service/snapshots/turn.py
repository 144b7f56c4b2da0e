"""Workers of one machine load one after the other, so that a new pair takes the cores, disk and
memory of one worker at a time while the others answer at full speed.

Decisions
- The turn is a lock that the kernel frees when its holder ends, however it ends: a worker that is
  killed while it loads delays nobody.
- Taking turns spares the machine, it is not needed to be right: where the state folder cannot be
  written, workers load when they like.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

LOCK = "loading.lock"


@contextmanager
def my_turn(state_dir: Path) -> Iterator[None]:
    """Wait until no other worker that shares `state_dir` loads, then keep them waiting."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        lock = (state_dir / LOCK).open("w")
    except OSError as error:
        log.warning("loading without waiting for other workers: %s", error)
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
