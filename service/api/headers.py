"""One header of a request, as bytes; the framework's mapping would decode and compare them all."""

from __future__ import annotations

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first value of a header, its name in lower case; None without one."""
    for each, value in scope["headers"]:
        if each == name:
            found: bytes = value
            return found
    return None
