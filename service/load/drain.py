"""Leaving without losing an answer: first not ready, then no new requests, then gone.

Decisions
- After SIGTERM a worker goes on as before for a while, only that /readyz answers 503, so that a
  balancer notices before the door closes. Each answer also closes its connection: clients that keep
  theirs open come back through the balancer, elsewhere.
- Then the server's own handler gets the signal; it stops listening and waits for open requests.
- A second SIGTERM changes nothing: some supervisors send it to every process, and our parent passes
  on its own. Ctrl-C leaves at once.
- A worker whose parent was killed leaves as if told to: it would hold the port for ever, and the
  next csmf-serve could not start.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from types import FrameType

log = logging.getLogger(__name__)


def leave_with_parent() -> None:
    """Send this worker SIGTERM when the command that started it is gone."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, name="parent", daemon=True).start()


class Drain:
    """Whether this worker is on its way out."""

    def __init__(self) -> None:
        self.draining = False

    def take_sigterm(self, delay_s: float) -> None:
        """Put the delay between SIGTERM and the server that runs this loop; none runs: nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        leave, loop = signal.getsignal(signal.SIGTERM), asyncio.get_running_loop()
        if not callable(leave):
            return

        def begin(number: int, _: FrameType | None) -> None:
            if self.draining:
                return
            self.draining = True
            log.info("SIGTERM: not ready from now on, leaving in %g s", delay_s)
            loop.call_soon_threadsafe(loop.call_later, delay_s, leave, number, None)

        signal.signal(signal.SIGTERM, begin)
