"""What happens around every request: bodies are bounded in size and time, answers are counted and
timed, and a worker that leaves closes each connection it has answered on.

Decisions
- Of bodies that came in part a worker waits for so many at once; then the oldest gives way to the
  newest. So whoever sends slowly fills no memory and keeps nobody out.
- A body that came at once with its head, as nearly all do, needs neither count nor clock.
- Plain ASGI callables: Starlette's middleware base class would cost more than the tower.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api import head
from service.api.gate import route_of
from service.api.headers import header
from service.load.drain import Drain
from service.watch.noted import STATUS
from service.watch.telemetry import Telemetry

NO_SCENARIO = "-"  # requests refused before their scenario was known, and those of operators
OPERATED = "/scenarios"  # one route, for metrics, with all beneath it


class LimitBody:
    """Refuses a body as soon as its length passes the limit, and one that does not come."""

    def __init__(self, app: ASGIApp, max_bytes: int, most: int) -> None:
        self._app, self._max, self._most = app, max_bytes, most
        self._waiting: set[asyncio.Timeout] = set()  # for the rest of a body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; reading a bad body raises a 413 or 408 where it is read."""
        if scope["type"] != "http" or scope.get(head.WHOLE, self._max + 1) <= self._max:
            await self._app(scope, receive, send)
            return
        announced = (header(scope, b"content-length") or b"0").decode("latin-1")
        received, more = 0, True
        deadline = asyncio.get_running_loop().time() + head.READ_S

        async def counting() -> Message:
            nonlocal received, more
            message = await (self._next(receive, deadline, received) if more else receive())
            more = message.get("more_body", False)
            received += len(message.get("body", b""))
            if max(received, int(announced) if announced.isdigit() else 0) > self._max:
                raise HTTPException(413, f"at most {self._max} bytes")
            return message

        await self._app(scope, counting, send)

    async def _next(self, receive: Receive, deadline: float, received: int) -> Message:
        """The next part of a body, in time."""
        try:
            async with asyncio.timeout_at(deadline) as limit:
                if not received:
                    return await receive()
                with self._among_few(limit):
                    return await receive()
        except TimeoutError:
            late = asyncio.get_running_loop().time() >= deadline
            sooner = f"within {head.READ_S:g} seconds" if late else "sooner: many others wait, too"
            raise HTTPException(408, f"all of it {sooner}", {"connection": "close"}) from None

    @contextmanager
    def _among_few(self, limit: asyncio.Timeout) -> Iterator[None]:
        """Wait for a rest; what waits longest is given up where too many do."""
        self._waiting.add(limit)
        if len(self._waiting) > self._most:
            oldest = min(self._waiting, key=lambda each: each.when() or 0.0)
            self._waiting.discard(oldest)
            oldest.reschedule(0)
        try:
            yield
        finally:
            self._waiting.discard(limit)


class MeasureAnswers:
    """ASGI middleware: counts and times what callers and operators ask, whatever answers it."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app, self._telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; count its status and time."""
        route = route_of(scope) or _operated(scope)
        if route is None:
            await self._app(scope, receive, send)
            return
        began, state = time.perf_counter(), scope["state"]
        try:
            await self._app(scope, receive, send)
        finally:
            scenario = NO_SCENARIO if route == OPERATED else state.get("scenario", NO_SCENARIO)
            self._telemetry.requests.labels(route, scenario, state[STATUS]).inc()
            self._telemetry.request_seconds.add(route, time.perf_counter() - began)


def _operated(scope: Scope) -> str | None:
    found = scope["type"] == "http" and f"{scope['path']}/".startswith(f"{OPERATED}/")
    return OPERATED if found else None


class CloseWhenDraining:
    """ASGI middleware: of what comes while the worker is leaving, each answer ends a connection."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app, self._drain = app, drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; say `Connection: close` if this worker is leaving."""
        if not self._drain.draining:
            await self._app(scope, receive, send)
            return

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self._app(scope, receive, closing)
