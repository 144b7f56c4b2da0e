"""Every 4xx and 5xx has one body: {"error": {code, field, value, expected, message, request_id}}.

Decisions
- Domain errors know nothing of HTTP; `_refusal` gives each its status.
- The value is echoed as JSON where it is small and plain, else as at most 200 characters of text.
- A fault of our own is logged with its traceback and answered without it.
"""

from __future__ import annotations

import json
import logging
import math
import re
from dataclasses import dataclass
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from bundle.features import FeatureError
from bundle.weights import WeightsError
from service.retrieval.filters import FilterError
from service.watch.logs import REQUEST_ID
from service.weights.changes import ChangeError, NoScheduleError
from service.weights.record import WeightsRecord
from service.weights.scenarios import UnknownScenarioError
from service.weights.store import (
    StoreUnavailableError,
    UnknownVersionError,
    VersionConflictError,
)
from service.weights.variants import UnknownVariantError

log = logging.getLogger(__name__)

SHOWN = 200  # characters of a field, a refused value or an expectation
LARGEST_JSON_INTEGER = 2**53
_ENCODER = json.JSONEncoder(ensure_ascii=False, default=str)

Json = None | bool | int | float | str


@dataclass
class ApiError(Exception):
    """A refusal with its HTTP status."""

    status: int
    code: str
    field: str = ""
    value: object = None
    expected: str = ""
    current: WeightsRecord | None = None

    def response(self) -> Response:
        """The refusal as sent; 503 asks the client to come back in a second."""
        field, value, expected = _text(self.field), shown(self.value), _text(self.expected)
        got = "nothing" if value is None else repr(value)
        detail: dict[str, object] = {
            "code": self.code,
            "field": field,
            "value": value,
            "expected": expected,
            "message": f"{field}: expected {expected}, got {got}".removeprefix(": "),
        }
        if request_id := REQUEST_ID.get():
            detail["request_id"] = request_id
        if self.current:
            detail["current"] = self.current.model_dump(mode="json")
        headers = {"retry-after": "1"} if self.status == HTTPStatus.SERVICE_UNAVAILABLE else None
        body = orjson.dumps({"error": detail})
        return Response(body, self.status, headers, media_type="application/json")


class OverloadedError(Exception):
    """More requests are in flight than the service is set to hold."""


def shown(value: object) -> Json:
    """The value as it may appear in a JSON body."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= LARGEST_JSON_INTEGER:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _text(value if isinstance(value, str) else _json(value))


def _text(text: str) -> str:
    """Text that any JSON writer takes, also if a client sent half a surrogate pair as a key."""
    text = text[: SHOWN + 1].encode("utf-8", "replace").decode()
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _json(value: object) -> str:
    """As JSON, as far as it is shown: the rest of a large value is never written."""
    written = ""
    try:
        for part in _ENCODER.iterencode(value):
            written += part
            if len(written) > SHOWN:
                break
    except (ValueError, RecursionError):  # an integer or a nesting beyond what can be written
        return f"a {type(value).__name__}"
    return written


def install_handlers(app: FastAPI) -> None:
    """Give every error of the service, and of the framework, its status and body."""

    async def handle(request: Request, error: Exception) -> Response:
        if isinstance(error, RequestValidationError):
            return _invalid(error).response()
        if isinstance(error.__cause__, ApiError):  # raised by the body, where FastAPI read it
            return error.__cause__.response()
        if isinstance(error, HTTPException):
            return _refused(request, error)
        return refused(error)

    async def handle_fault(request: Request, error: Exception) -> Response:
        response = await handle(request, error)  # sent outside of all middleware
        response.headers["x-request-id"] = REQUEST_ID.get()
        return response

    for kind in (*OWN_ERRORS, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, handle)
    app.add_exception_handler(Exception, handle_fault)


OWN_ERRORS = (
    ApiError,
    FeatureError,
    FilterError,
    WeightsError,
    UnknownScenarioError,
    UnknownVersionError,
    UnknownVariantError,
    NoScheduleError,
    ChangeError,
    VersionConflictError,
    StoreUnavailableError,
    OverloadedError,
)


def refused(error: Exception) -> Response:
    """The answer to an error of our own; to any other one, that of a fault."""
    return _refusal(error).response()


def _refusal(error: Exception) -> ApiError:  # noqa: PLR0911 - one return per kind of error
    """Status and fields of each error of our own; anything else is a fault, answered without."""
    match error:
        case ApiError():
            return error
        case FilterError(field=field, value=value, expected=expected):
            return ApiError(422, "invalid_value", field, value, expected)
        case FeatureError(feature=name, value=value, expected=expected):
            return ApiError(422, "invalid_value", f"user.{name}", value, expected)
        case WeightsError(field=name, value=value, expected=expected):
            field = "weights" if name == "*" else f"weights.{name}"
            return ApiError(422, "invalid_value", field, value, expected)
        case UnknownScenarioError(scenario=name, existing=names):
            expected = "one of " + ", ".join(names)
            return ApiError(404, "unknown_scenario", "scenario", name, expected)
        case OverloadedError():
            return ApiError(503, "overloaded", "", str(error), "fewer requests at once")
        case _:  # Starlette raises it again after answering, so it is logged with its traceback
            fault = ApiError(500, "internal", "", None, "no fault of the service; see its log")
            return _refused_change(error) or fault


def _refused_change(error: Exception) -> ApiError | None:  # noqa: PLR0911 - one return per kind
    """What only the operators' routes raise."""
    match error:
        case ChangeError(field=field, value=value, expected=expected):
            return ApiError(422, "invalid_value", field, value, expected)
        case UnknownVersionError(version=version, lost=True):
            expected = "a version that the history still shows: the store lost this one"
            return ApiError(404, "unknown_version", "to_version", version, expected)
        case UnknownVersionError(version=version, newest=newest):
            expected = f"a version from 1 to {newest}" if newest else "a scenario that was set"
            return ApiError(404, "unknown_version", "to_version", version, expected)
        case UnknownVariantError(variant=name, existing=names):
            expected = "one of " + ", ".join(names) if names else "a scenario with variants"
            return ApiError(404, "unknown_variant", "variant", name, expected)
        case NoScheduleError():
            return ApiError(404, "no_schedule", "schedule", None, "a scenario with a schedule")
        case VersionConflictError(expected=version, current=current):
            found = f"{current.version if current else 0}, the scenario's version"
            return ApiError(
                409, "version_conflict", "expected_version", version, found, current=current
            )
        case StoreUnavailableError():
            log.warning("weights store: %s", error)
            expected = "a weights store that answers; see what is in force, and try again"
            return ApiError(503, "store_unavailable", "", "no answer", expected)
        case _:
            return None


def _invalid(error: RequestValidationError) -> ApiError:
    """The first thing wrong with a request, as FastAPI found it."""
    first = error.errors()[0]
    where, kind, value = list(first["loc"]), first["type"], first.get("input")
    if kind == "json_invalid":
        return ApiError(
            400, "invalid_json", "body", f"{first['ctx']['error']} at {where[-1]}", "JSON"
        )
    if isinstance(value, bytes):
        expected = "a JSON object, sent with Content-Type: application/json"
        return ApiError(415, "not_json", "body", value.decode(errors="replace"), expected)
    field = ".".join(str(part) for part in where[1:]) or str(where[0])
    if kind == "missing":
        return ApiError(422, "invalid_value", field, None, "a value: this field is required")
    if kind == "extra_forbidden":
        return ApiError(422, "unknown_field", field, value, "one of the fields listed in /docs")
    expected = re.sub(r"^\w+ should (?!be )", "to ", first["msg"].removeprefix("Input should be "))
    return ApiError(422, "invalid_value", field, value, expected)


def _refused(request: Request, error: HTTPException) -> Response:
    """What the framework refuses before any route runs, or while it reads the body."""
    path = request.url.path
    known = {
        400: ApiError(400, "invalid_json", "body", str(error.detail), "JSON in UTF-8"),
        404: ApiError(404, "not_found", "path", path, "a path listed in /docs"),
        405: ApiError(405, "method_not_allowed", "method", request.method, "a method in /docs"),
        408: ApiError(408, "too_slow", "body", "a part", str(error.detail)),
        413: ApiError(413, "body_too_large", "body", "more", str(error.detail)),
    }
    other = ApiError(error.status_code, "refused", "path", path, str(error.detail))
    response = known.get(error.status_code, other).response()
    response.headers.update(error.headers or {})
    return response
