"""The short way of a request to retrieve or score: past the framework, where nothing is wrong.

Decisions
- FastAPI finds the route, opens two exit stacks, reads the content type as a mail's, parses, copies
  and solves dependencies: as long as tower and validation together. Here a body goes from bytes to
  its model in one step, and on to the very function that is the route's.
- A body that the model refuses, that comes in parts or as another content type goes the long way,
  from the start: one place says what is wrong with a request, and it is the documented one. What
  the model takes here it takes there, to the same values; a test reads one against the other.
- It is the innermost of all middleware, so that all others apply to both ways.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import OWN_ERRORS, refused
from service.api.headers import header

JSON = b"application/json"


@dataclass(frozen=True)
class ShortRoute:
    """A route, the model of its body, and its function."""

    path: str
    model: type[BaseModel]
    answer: Callable[[Any, Request, Any], Awaitable[Response]]  # (body, request, parts)


class ShortWay:
    """ASGI middleware: answers these routes itself, if the body is what they take."""

    def __init__(self, app: ASGIApp, routes: Iterable[ShortRoute]) -> None:
        self._app, self._routes = app, {route.path: route for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on with what was read of it."""
        route = self._route(scope)
        if route is None:
            await self._app(scope, receive, send)
            return
        read = await _Read.first(receive)
        body = read.as_model(route.model)
        if body is None:
            await self._app(scope, read.again, send)
            return
        scope["route"] = route
        request = Request(scope, receive)
        try:
            response = await route.answer(body, request, request.app.state.parts)
        except OWN_ERRORS as error:
            response = refused(error)
        await response(scope, receive, send)

    def _route(self, scope: Scope) -> ShortRoute | None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        return self._routes.get(scope["path"]) if header(scope, b"content-type") == JSON else None


class _Read:
    """What was read of a request, for whoever reads it again."""

    def __init__(self, receive: Receive, message: Message | None, error: Exception | None) -> None:
        self._receive, self._message, self._error = receive, message, error

    @classmethod
    async def first(cls, receive: Receive) -> _Read:
        """The first message, or what went wrong with it."""
        try:
            return cls(receive, await receive(), None)
        except Exception as error:  # noqa: BLE001  (raised again where it is answered)
            return cls(receive, None, error)

    def as_model(self, model: type[BaseModel]) -> BaseModel | None:
        """The body, if it is whole and what the model takes."""
        message = self._message
        if message is None or message["type"] != "http.request" or message.get("more_body"):
            return None
        try:
            return model.model_validate_json(message["body"])
        except ValidationError:
            return None

    async def again(self) -> Message:
        """As the server's `receive`, from the start."""
        if self._error:
            raise self._error
        message, self._message = self._message, None
        return message or await self._receive()
