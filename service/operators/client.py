"""One request to a running service, in the service's own words. Standard library only.

The key comes from CSMF_KEY, never from an argument, which everybody on the machine could see; it is
not sent on to where a redirect leads.
"""

from __future__ import annotations

import json
import os
import ssl
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 10
BAD_INPUT, AWAY = 2, 1

Json = dict[str, Any]


class RefusedError(Exception):
    """The service refused, or cannot be reached; `code` is the exit code."""

    def __init__(self, message: str, code: int = BAD_INPUT) -> None:
        self.code = code
        super().__init__(message)


def call(url: str, method: str, path: str, body: Json | None = None) -> Json:
    """One request to the service. Raises RefusedError with the service's own words."""
    content = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    try:
        request = Request(url.rstrip("/") + path, content, headers, method=method)  # noqa: S310  (the operator chooses the URL)
        if key := os.environ.get("CSMF_KEY"):
            request.add_unredirected_header("Authorization", f"Bearer {key}")
        with urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            return dict(json.load(response))
    except HTTPError as error:
        raise _refused(error) from None
    except (URLError, OSError, HTTPException, ValueError, TypeError) as error:
        reason = getattr(error, "reason", error)
        raise RefusedError(f"{url}: {reason}; {_remedy(method, reason)}", AWAY) from None


def _remedy(method: str, reason: object) -> str:
    if isinstance(reason, TimeoutError) and method != "GET":
        return "the change may have been made: look, with csmf-weights get or history, before again"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "name the authority that signed its certificate in SSL_CERT_FILE"
    return f"start csmf-serve, or name its address with --url or CSMF_URL, as {DEFAULT_URL}"


def _refused(error: HTTPError) -> RefusedError:
    code = AWAY if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR else BAD_INPUT
    try:
        detail = json.load(error)["error"]
    except (ValueError, KeyError, TypeError):
        return RefusedError(f"{error.url}: HTTP {error.code} {error.reason}", code)
    if error.code == HTTPStatus.UNAUTHORIZED:
        return RefusedError(f"{detail['message']}; put your key into CSMF_KEY", code)
    current = detail.get("current")
    now = f"; it is now {current['weights']} by {current['author']}" if current else ""
    return RefusedError(detail["message"] + now, code)
