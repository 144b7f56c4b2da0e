"""What is remembered of a request while it is answered, for its trace; nothing, where none is made.

Whoever knows something says it: `note(k=100)`. It goes to the request's own dict, which tracing.py
reads once the answer is sent; without one it costs a look at a context variable.
"""

from __future__ import annotations

from contextvars import ContextVar

STATUS = "status"  # in the state of a request: what was answered, 500 until then
NOTED: ContextVar[dict[str, object] | None] = ContextVar("noted", default=None)


def note(**values: object) -> None:
    """Remember these values of the request that is being answered."""
    noted = NOTED.get()
    if noted is not None:
        noted.update(values)
