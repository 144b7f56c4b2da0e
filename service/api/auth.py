"""Which key may call what; asked before anything of a request but its head is read.

Decisions
- A path's first part says which role it needs. What is not named here needs `admin`: a route that
  somebody adds and forgets here is closed, not open.
- Probes and the pages that describe the API need no key: they show nothing of what is served.
- Changes are logged with the name of the key: the author of a change is what its sender says, the
  key is what its sender has. A dry run is no change.
- Where nobody needs a key, pages of other sites that a browser on this machine has open must not
  change weights: what a browser sends for one carries its origin.
- Without a key and with an unknown one the answer is the same, and never repeats what was sent.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access.keys import Key, Role
from service.access.ring import KeyRing, is_loopback
from service.api.errors import ApiError
from service.api.headers import header
from service.watch.telemetry import Telemetry

log = logging.getLogger(__name__)

ROLE_OF: dict[str, Role | None] = {
    "livez": None,
    "readyz": None,
    "docs": None,
    "openapi.json": None,
    "static-offline-docs": None,
    "metrics": "retrieve",
    "retrieve": "retrieve",
    "score": "retrieve",
    "scenarios": "operate",
}
HEADER = "Authorization"
KEY = "Bearer and a key that this service knows"
READING = {"GET", "HEAD", "OPTIONS"}
DRY_RUN = "/scenarios/{name}/preview"


class AskForKey:
    """ASGI middleware: 401 without a known key, 403 where its role is too small."""

    def __init__(
        self, app: ASGIApp, ring: KeyRing, telemetry: Telemetry, *, open_metrics: bool
    ) -> None:
        self._app, self._ring, self._telemetry = app, ring, telemetry
        self._role_of = {**ROLE_OF, "metrics": None} if open_metrics else ROLE_OF

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if its key may."""
        role = self._role(scope)
        if role is None:
            await self._app(scope, receive, send)
            return
        key = self._ring.find(_token(scope))
        if key is None:
            error = ApiError(401, "no_valid_key", HEADER, None, KEY)
            await self._refuse(error, scope, receive, send)
        elif not key.may(role):
            expected = f"a key with the role {role}"
            error = ApiError(403, "role_too_small", HEADER, key.role, expected)
            await self._refuse(error, scope, receive, send)
        else:
            changes = role == "operate" and scope["method"] not in READING
            await self._app(scope, receive, _logged(scope, key, send) if changes else send)

    def _role(self, scope: Scope) -> Role | None:
        if scope["type"] != "http":
            return None  # the start and end of the app; there are no websockets
        first = scope["path"].removeprefix("/").partition("/")[0]
        return self._role_of.get(first, "admin")

    async def _refuse(self, error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
        self._telemetry.refused_callers.labels(error.status).inc()
        response = error.response()
        if error.status == HTTPStatus.UNAUTHORIZED:
            response.headers["www-authenticate"] = "Bearer"
        await response(scope, receive, send)


class RefusePages:
    """ASGI middleware: 403 for what a page of another site makes a browser ask."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if no page sent it, or one of this machine."""
        given = header(scope, b"origin") if scope["type"] == "http" else None
        origin = None if given is None else given.decode("latin-1")
        if origin is None or is_loopback(_host(origin)):
            await self._app(scope, receive, send)
            return
        expected = "a page of this machine; others need a service that asks for keys"
        error = ApiError(403, "foreign_page", "Origin", origin, expected)
        await error.response()(scope, receive, send)


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:  # no address at all
        return ""


def _token(scope: Scope) -> str:
    given = header(scope, b"authorization") or b""
    scheme, _, token = given.decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _logged(scope: Scope, key: Key, send: Send) -> Send:
    """Say who changed what, once it is done."""

    async def noting(message: Message) -> None:
        done = message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK
        if done and getattr(scope.get("route"), "path", "") != DRY_RUN:
            log.info("key %s: %s %s", key.name, scope["method"], scope["path"])
        await send(message)

    return noting


def document_keys(app: FastAPI) -> None:
    """Let /docs send a key."""
    document: dict[str, Any] = app.openapi()  # made once; the app keeps it
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["key"] = {"type": "http", "scheme": "bearer"}
    document["security"] = [{"key": []}]
