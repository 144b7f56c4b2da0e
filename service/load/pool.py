"""The compute pool of one worker: about as many threads as cores, and a bounded queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from service.api.errors import OverloadedError
from service.watch.telemetry import Telemetry

Result = TypeVar("Result")


class ComputePool:
    """About as many threads as cores, and a bound on the requests that wait for them.

    The event loop never computes, and compute never waits behind anything else: a request that
    would only join a long queue is refused at once, while its caller can still use the time.
    """

    def __init__(self, threads: int, max_in_flight: int, telemetry: Telemetry) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="compute")
        self._max, self._in_flight, self._telemetry = max_in_flight, 0, telemetry

    async def run(self, compute: Callable[[float], Result]) -> Result:
        """`compute(seconds queued)` in the pool. Raises OverloadedError."""
        if self._in_flight >= self._max:
            raise OverloadedError(f"{self._in_flight} requests in flight")
        queued = time.perf_counter()
        self._count(+1)
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._executor, lambda: compute(time.perf_counter() - queued)
            )
        finally:
            self._count(-1)

    def close(self) -> None:
        """Wait for what is being computed."""
        self._executor.shutdown(wait=True)

    def _count(self, change: int) -> None:
        self._in_flight += change
        self._telemetry.in_flight.set(self._in_flight)
