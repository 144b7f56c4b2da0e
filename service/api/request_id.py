"""Every request has an id: what the caller sent as X-Request-Id, or else one made here.

Decisions
- It is in the answer, in the body of a refusal and in each log line of the request, so that one
  line of a caller's log finds ours.
- An id that is too long or could break a line of a log is replaced, not refused: it is not what the
  caller came for. Callers should not make ids of what they know of users: ids are logged.
- What never becomes a request (no HTTP, no whole head) has none.
- The status of the answer is noted here, once, for all who want to know it when it is sent.
- A line per request is written only if asked for: it costs more than the user tower.
"""

from __future__ import annotations

import logging
import os
import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.headers import header
from service.watch.logs import REQUEST_ID
from service.watch.noted import STATUS

log = logging.getLogger(__name__)

HEADER = b"x-request-id"
USABLE = re.compile(rb"[A-Za-z0-9._:=-]{1,64}").fullmatch


class IdentifyRequest:
    """ASGI middleware: gives a request its id, and its answer too; logs it if asked to."""

    def __init__(self, app: ASGIApp, *, access_log: bool) -> None:
        self._app, self._access_log = app, access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on. The id stays set: the server logs what went wrong after this."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given(scope) or os.urandom(8).hex()
        REQUEST_ID.set(request_id)
        began, state = time.perf_counter(), scope.setdefault("state", {})
        state[STATUS] = 500

        async def naming(message: Message) -> None:
            if message["type"] == "http.response.start":
                state[STATUS] = message["status"]
                message["headers"] = [*message["headers"], (HEADER, request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, naming)
        finally:
            if self._access_log:
                _log(scope, state[STATUS], time.perf_counter() - began)


def _given(scope: Scope) -> str:
    """The caller's id, if it is usable."""
    given = header(scope, HEADER)
    return given.decode() if given and USABLE(given) else ""


def _log(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "-")
    said = {
        "method": scope["method"],
        "route": route,
        "status": status,
        "ms": round(1e3 * seconds, 3),
    }
    log.info("%(method)s %(route)s %(status)d in %(ms)g ms", said, extra=said)
