"""Workers of one machine load one after the other, so that a new pair takes the cores, disk and
memory of one worker at a time while the others answer at full speed.

Decisions
- The turn is a lock that the kernel frees when its holder ends, however it ends: a worker that is
  killed while it loads delays nobody.
- Who loads writes into the lock's file what it loads, and empties the file when done. What is still
  there when the next one gets the lock killed its loader: for lack of memory, or by a fault in a
  library. Left alone for a while, such a pair costs a worker now and then, and not all of them. Who
  loads another pair meanwhile, as the worker does that takes the dead one's place, puts it back.
- Taking turns spares the machine, it is not needed to be right: where the state folder cannot be
  written, workers load when they like; on a full disk nobody notes what they load.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from bundle.manifest import Current
from bundle.writing import to_json

log = logging.getLogger(__name__)

LOCK = "loading.lock"
LARGEST = 65_536  # bytes that a note may have
REST_S = 600.0  # that a pair is left alone after a worker died of it


class LoaderDiedError(Exception):
    """A worker died while it loaded this pair."""


class Turn:
    """Of one worker, among those that share `state_dir`."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._leave: Callable[[], None] | None = None  # while this worker loads

    @contextmanager
    def taken(self, pair: Current, *, whatever_happened: bool = False) -> Iterator[None]:
        """Wait until no other worker loads, then keep them waiting.

        Raises LoaderDiedError if the last one died of this pair, unless told to try all the same.
        """
        try:
            self._state_dir.mkdir(parents=True, exist_ok=True)
            lock = (self._state_dir / LOCK).open("a+b", buffering=0)
        except OSError as error:
            log.warning("loading without waiting for other workers: %s", error)
            yield
            return
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            left = _left(lock)
            if left.pair == to_json(pair) and not whatever_happened:
                left.check_rested(pair)
            _note(lock, _Note(to_json(pair)))
            self._leave = partial(_note, lock, _NOTHING if left.pair == to_json(pair) else left)
            try:
                yield
            finally:
                self.leave()

    def leave(self) -> None:
        """What this worker loads did not kill it: at the end, and when it is told to end sooner."""
        leave, self._leave = self._leave, None
        if leave:
            leave()


@dataclass(frozen=True)
class _Note:
    """A pair that is loaded, or whose loader died; when that was noted, in ns."""

    pair: bytes
    at: int | None = None  # None: now

    def check_rested(self, pair: Current) -> None:
        """Raises LoaderDiedError unless the pair was left alone for long enough."""
        died_s = time.time() - (self.at or 0) / 1e9
        if 0 <= died_s < REST_S:  # a clock that was set back tells nothing
            raise LoaderDiedError(
                f"a worker died while it loaded {pair.run_id}/{pair.build_id} {died_s:.0f} s ago; "
                f"it is tried again after {REST_S / 60:g} minutes, or once it is published anew"
            )


_NOTHING = _Note(b"")


def _left(lock: IO[bytes]) -> _Note:
    lock.seek(0)
    return _Note(lock.read(LARGEST), os.fstat(lock.fileno()).st_mtime_ns)


def _note(lock: IO[bytes], note: _Note) -> None:
    with suppress(OSError):
        lock.truncate(0)
        lock.write(note.pair)
        if note.at is not None:
            os.utime(lock.fileno(), ns=(note.at, note.at))
