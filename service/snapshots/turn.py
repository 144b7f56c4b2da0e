"""Workers of one machine load one after the other, so that a new pair takes the cores, disk and
memory of one worker at a time while the others answer at full speed.

Decisions
- The turn is a lock that the kernel frees when its holder ends, however it ends: a worker that is
  killed while it loads delays nobody.
- Who loads writes into the lock's file what it loads, and empties the file when done. What is still
  there when the next one gets the lock killed its loader: for lack of memory, or by a fault in a
  library. Left alone for a while, such a pair costs a worker now and then, and not all of them.
- Taking turns spares the machine, it is not needed to be right: where the state folder cannot be
  written, workers load when they like; on a full disk nobody notes what they load.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from bundle.files import to_json
from bundle.manifest import Current

log = logging.getLogger(__name__)

LOCK = "loading.lock"
REST_S = 600.0  # that a pair is left alone after a worker died of it


class LoaderDiedError(Exception):
    """A worker died while it loaded this pair."""


@contextmanager
def my_turn(state_dir: Path, pair: Current, *, whatever_happened: bool = False) -> Iterator[None]:
    """Wait until no other worker that shares `state_dir` loads, then keep them waiting.

    Raises LoaderDiedError if the last one died of this pair, unless told to try all the same.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        lock = (state_dir / LOCK).open("a+b", buffering=0)
    except OSError as error:
        log.warning("loading without waiting for other workers: %s", error)
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whatever_happened:
            _check_survived(lock, pair)
        _note(lock, to_json(pair))
        try:
            yield
        finally:
            _note(lock, b"")


def _note(lock: IO[bytes], content: bytes) -> None:
    with suppress(OSError):
        lock.truncate(0)
        lock.write(content)


def leave_turn(state_dir: Path) -> None:
    """A load that is given up because its worker was told to end did not kill it."""
    with suppress(OSError):
        (state_dir / LOCK).write_bytes(b"")


def _check_survived(lock: IO[bytes], pair: Current) -> None:
    lock.seek(0)
    died_s = time.time() - os.fstat(lock.fileno()).st_mtime
    if lock.read() == to_json(pair) and died_s < REST_S:
        raise LoaderDiedError(
            f"a worker died while it loaded {pair.run_id}/{pair.build_id} {died_s:.0f} s ago; it "
            f"is tried again after {REST_S / 60:g} minutes, or once it is published anew"
        )
