"""Bounds on the head of a request, which uvicorn's parser takes at any size and for any time.

Decisions
- A head that is not complete after HEAD_BYTES or READ_S is answered 431 or 408 and its connection
  closed; so is one of which no head ever comes. What is no HTTP is a 400 with the same body as
  every refusal.
- HEAD_BYTES holds for all that comes in a row and is no body: uvicorn would keep the fields behind
  a body in chunks, at sixteen times their size. They are no part of the request: nobody may add to
  a head that a proxy has seen.
- What still comes of a request that was answered already is dropped, for READ_S at the longest.
- An offer to go on in another protocol is passed over, as HTTP wants of who does not speak it. The
  parser would take the body for that protocol; Java's client offers h2c with every request.
- Of pipelined requests uvicorn tells only the newest that the connection is gone. The one under way
  is told here; it would write to what is closed, and log that as an error.
- Nothing is counted and no clock runs for a head that comes in one piece, as nearly all do.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.api.errors import ApiError

HEAD_BYTES = 65_536  # checked after each read, so one read more is possible
READ_S = 10.0  # for a head, and for a body
WHOLE = "csmf.whole"  # in a scope: bytes of a body that is there
UPGRADE = re.compile(rb"\r\nupgrade[ \t]*:", re.IGNORECASE)


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    _in_head = True
    _begun = False  # a head that is not complete
    _in_body = False
    _head_bytes = 0
    _clock: asyncio.TimerHandle | None = None
    _under_way: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first head."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clock, and the answer that nobody waits for."""
        self._stop_clock()
        if self._under_way:
            self._under_way.disconnected = not self._under_way.response_complete
            self._under_way.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; then see whether it still is a head, or belongs to nothing."""
        self._head_bytes += len(data)
        super().data_received(data if self._in_body else _without_upgrade(data))
        if self._head_bytes > HEAD_BYTES:
            self._refuse(ApiError(431, "head_too_large", "head", "more", f"{HEAD_BYTES} bytes"))
        elif not self._in_head and not self._answered():
            self._stop_clock()  # a request is under way
        else:
            self._start_clock()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head, self._begun, self._head_bytes = True, True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is there; what comes behind the body is not added to it."""
        self._in_head, self._begun, self._in_body, self._head_bytes = False, False, True, 0
        super().on_headers_complete()
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is there; if all came at once, its body is before the app looks for it."""
        self._in_body = False
        self.scope[WHOLE] = len(self.cycle.body)  # type: ignore[literal-required]  # ours
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._under_way = cycle
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed."""
        self._refuse(ApiError(400, "not_http", "request", msg, "HTTP/1.1"))

    def _answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _start_clock(self) -> None:
        if self._clock is None:
            self._clock = self.loop.call_later(READ_S, self._too_slow)

    def _stop_clock(self) -> None:
        if self._clock:
            self._clock.cancel()
            self._clock = None

    def _too_slow(self) -> None:
        self._clock = None
        if self._in_head:
            expected = f"all of it within {READ_S:g} seconds"
            self._refuse(ApiError(408, "too_slow", "head", "a part", expected))
        else:
            self.transport.close()

    def _refuse(self, error: ApiError) -> None:
        """Answer without the app, unless an answer is being written, and close."""
        if self._answered() and not self.transport.is_closing():
            response = error.response()
            headers = [*response.raw_headers, (b"connection", b"close")]
            status = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
            lines = b"".join(b"%s: %s\r\n" % header for header in headers)
            self.transport.write(status.encode() + lines + b"\r\n" + bytes(response.body))
        self.transport.close()


def _without_upgrade(data: bytes) -> bytes:
    """The same head with another name for that field, if it is there."""
    if b"pgrade" not in data:  # nearly always
        return data
    head, end, rest = data.partition(b"\r\n\r\n")
    return UPGRADE.sub(b"\r\nx-upgrade:", head) + end + rest
