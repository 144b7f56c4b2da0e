"""Where a worker computes: brief work on its event loop, long work in a thread beside it.

Decisions
- A worker is one core. A second thread for a millisecond of work only makes the two wait for each
  other: for the interpreter's lock, which is handed over every 5 ms, and for the core. At half of
  the capacity p99 was 35 to 80 ms with a thread, and 10 to 16 ms without one.
- The loop computes one request a turn. Between two it looks at its sockets, so whoever is refused,
  or asks whether the worker is alive, waits for one answer and not for the whole queue. The first
  of a turn is computed where it stands: to wake a task costs as much as a twentieth of an answer.
- Long is what may take many milliseconds: several users, a filter, a scan of a whole catalogue.
- Requests that the admission took on are dropped here if they waited for too long; the bound on
  what waits is for the others.
- What is computed belongs to its request: it logs under its id, and shows in its trace.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from service.api.errors import OverloadedError
from service.load.admission import TURN, Admission, Turn

Result = TypeVar("Result")
Waiting = tuple["asyncio.Future[Any]", Callable[[], object]]


class Compute:
    """Of one worker; used by its event loop."""

    def __init__(self, most: int, admission: Admission) -> None:
        self._most, self._held, self._admission = most, 0, admission
        self._turning = False  # the loop will call `_next`
        self._waiting: deque[Waiting] = deque()
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="compute")

    async def briefly(self, compute: Callable[[float], Result]) -> Result:
        """`compute(seconds queued)` on the loop, now or in its turn. Raises OverloadedError."""
        job, loop = self._job(compute), asyncio.get_running_loop()
        if self._turning:
            future: asyncio.Future[Result] = loop.create_future()
            self._waiting.append((future, partial(copy_context().run, job)))
            return await self._holding(future)
        try:
            return job()
        finally:
            self._turn(loop)

    async def at_length(self, compute: Callable[[float], Result]) -> Result:
        """`compute(seconds queued)` in the thread beside. Raises OverloadedError."""
        job, loop = self._job(compute), asyncio.get_running_loop()
        beside = partial(copy_context().run, job)
        return await self._holding(loop.run_in_executor(self._beside, beside))

    def close(self) -> None:
        """Wait for what is being computed."""
        self._beside.shutdown(wait=True)

    def _job(self, compute: Callable[[float], Result]) -> Callable[[], Result]:
        if self._held >= self._most:
            raise OverloadedError(f"{self._held} requests in flight")
        return partial(self._take, compute, time.perf_counter(), TURN.get())

    async def _holding(self, future: asyncio.Future[Result]) -> Result:
        self._held += 1
        try:
            return await future
        finally:
            self._held -= 1

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the loop look at its sockets, and then go on here."""
        if not self._turning:
            self._turning = True
            loop.call_soon(self._next, loop)

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop has looked at its sockets: compute what waits longest."""
        self._turning = False
        if not self._waiting:
            return
        self._turn(loop)  # whatever comes of this one
        future, job = self._waiting.popleft()
        if future.done():  # its request is gone
            return
        try:
            future.set_result(job())
        except StopIteration as error:  # a future takes any other
            future.set_exception(RuntimeError(repr(error)))
        except Exception as error:  # noqa: BLE001  (whoever waits for it gets it)
            future.set_exception(error)

    def _take(self, compute: Callable[[float], Result], queued: float, turn: Turn | None) -> Result:
        waited = time.perf_counter() - queued
        if turn and self._admission.drops(turn):
            raise OverloadedError(f"{1e3 * waited:.0f} ms in the queue")
        return compute(waited)
