"""The compute pool of one worker: about as many threads as cores, and a bounded queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from service.api.errors import OverloadedError
from service.load.admission import TURN, Admission, Turn

Result = TypeVar("Result")


class ComputePool:
    """About as many threads as cores, and a bound on what waits for them.

    The event loop never computes, and compute never waits behind anything else. Requests that the
    admission took on are dropped here if they waited for too long; the bound is for the others.
    What is computed belongs to its request: it logs under its id, and shows in its trace.
    """

    def __init__(self, threads: int, most: int, admission: Admission) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="compute")
        self._most, self._held, self._admission = most, 0, admission

    async def run(self, compute: Callable[[float], Result]) -> Result:
        """`compute(seconds queued)` in the pool. Raises OverloadedError."""
        if self._held >= self._most:
            raise OverloadedError(f"{self._held} requests in flight")
        queued, turn = time.perf_counter(), TURN.get()
        self._held += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._executor, copy_context().run, self._take, compute, queued, turn
            )
        finally:
            self._held -= 1

    def close(self) -> None:
        """Wait for what is being computed."""
        self._executor.shutdown(wait=True)

    def _take(self, compute: Callable[[float], Result], queued: float, turn: Turn | None) -> Result:
        waited = time.perf_counter() - queued
        if turn and self._admission.drops(turn):
            raise OverloadedError(f"{1e3 * waited:.0f} ms in the queue")
        return compute(waited)
