"""The gate: requests that retrieve or score come in as far as the worker can answer them in time.

Decisions
- Shut before anything of a request is read but its head. A worker that is offered five times what
  it can do refuses four of five requests, and what a refusal costs is taken from the others. So a
  request that comes in one piece while the worker is full is refused on its connection, unparsed
  (door.py). Every other way to send one leads to the gate in front of the app, and to the same
  answer.
- A place is taken once the body is there, by whoever still finds one then. What is on its way costs
  no place: slow senders keep nobody out, and their time is not taken for that of an answer.
- The connection stays open: a new one would cost more than the refusal.
- `X-Deadline-Ms` is what is left of the caller's time when the request arrives. Without it the
  operator's default holds, if there is one.
- Refused on its connection a request has no id and no key was asked for: nobody learns from it more
  than that the worker is busy.
"""

from __future__ import annotations

import math
import re
import time
from http import HTTPStatus

from fastapi import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import ApiError
from service.api.headers import header
from service.load.admission import TURN, Admission, Turn

GATED = ("/retrieve", "/retrieve/batch", "/score")
HEADER = b"x-deadline-ms"
CONNECTION = "connection"  # in the state of a request: its transport
FEWER = ApiError(503, "overloaded", "", None, "fewer requests at once")

_STARTS = {f"POST {route} HTTP/1.1".encode(): route for route in GATED}
_LENGTH = b"\r\ncontent-length"
_KEEP_ALIVE = b"\r\nconnection: keep-alive\r\n"  # what holds anyway; many clients say it
_OTHERWISE = (b"\r\ntransfer-encoding", b"\r\nconnection", b"\r\nexpect", b"\r\nupgrade")


def whole_request(data: bytes) -> str | None:
    """The gated route that these bytes ask for, if they are one request, whole and plain."""
    route, end = _STARTS.get(data[: data.find(b"\r\n")]), data.find(b"\r\n\r\n")
    if route is None or end < 0:
        return None
    head = data[: end + 2].lower()
    announced = _LENGTH + b": %d\r\n" % (len(data) - end - 4)
    whole = head.count(_LENGTH) == 1 and announced in head
    said = head.replace(_KEEP_ALIVE, b"\r\n", 1)
    return route if whole and not any(map(said.__contains__, _OTHERWISE)) else None


def route_of(scope: Scope) -> str | None:
    """The gated route that a request is for. Starlette overlooks a line break at the end, too."""
    path = scope["path"].removesuffix("\n") if scope["type"] == "http" else ""
    return path if path in GATED else None


def on_the_wire(response: Response, status: int) -> bytes:
    """A response as bytes, for a connection that stays open."""
    phrase = HTTPStatus(status).phrase
    lines = b"".join(b"%s: %s\r\n" % header for header in response.raw_headers)
    return f"HTTP/1.1 {status} {phrase}\r\n".encode() + lines + b"\r\n" + bytes(response.body)


class Gate:
    """ASGI middleware: 503 for what would be too much, or too late."""

    def __init__(self, app: ASGIApp, admission: Admission, default_ms: float) -> None:
        self._app, self._admission = app, admission
        self._default_s = default_ms / 1000 or math.inf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if there is a place for it, and hold the place meanwhile."""
        TURN.set(None)  # a pipelined request starts with what the one before it had
        if route_of(scope) is None:
            await self._app(scope, receive, send)
            return
        try:
            came, budget_s = time.perf_counter(), self._budget_s(scope)
            self._check(budget_s)
        except ApiError as error:
            await error.response()(scope, receive, send)
            return
        turn: Turn | None = None

        async def entering() -> Message:
            nonlocal turn
            message = await receive()
            if turn is None and message["type"] == "http.request" and not message.get("more_body"):
                turn = self._enter(scope, budget_s - (time.perf_counter() - came))
            return message

        try:
            await self._app(scope, entering, send)
        finally:
            if turn:
                self._admission.leave(turn)

    def _enter(self, scope: Scope, left_s: float) -> Turn:
        """Take a place for a request whose body is there. Raises ApiError, to whoever reads it."""
        self._check(left_s)
        connection = scope.get("state", {}).get(CONNECTION)  # of our own server; not of a test's
        known = (connection.is_closing,) if connection else ()
        turn = self._admission.enter(left_s, *known)
        TURN.set(turn)  # of this request's task alone
        return turn

    def _budget_s(self, scope: Scope) -> float:
        """Of the header, else the operator's. Raises ApiError."""
        given = header(scope, HEADER)
        return self._default_s if given is None else _seconds(given)

    def _check(self, budget_s: float) -> None:
        """Raises ApiError if the request must not enter."""
        reason = self._admission.refusal(budget_s)
        if reason == "full":
            raise FEWER
        if reason:
            expected_ms = 1e3 * self._admission.expected_s
            wanted = f"a deadline above {expected_ms:.1f} ms, or fewer requests at once"
            raise ApiError(503, "overloaded", "X-Deadline-Ms", round(1e3 * budget_s, 3), wanted)


def _seconds(value: bytes) -> float:
    text = value.decode("latin-1")
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or not float(text):
        expected = "milliseconds, a number above 0"
        raise ApiError(422, "invalid_value", "X-Deadline-Ms", text, expected)
    return float(text) / 1000
