"""Log lines: one form for ours and uvicorn's, as text or as JSON, with the request they belong to.

Decisions
- The id of a request is a context variable: whatever logs while it is answered need not know it.
- Lines hold no value of a user and no secret: what a request says is answered to its sender, not
  logged. An access line names the route, not the path, which is whatever somebody typed.
- JSON is one object a line, its time in UTC, and is written by python-json-logger.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")  # empty outside of requests
TEXT = "%(asctime)s %(levelname)s [%(process)d%(of_request)s] %(name)s: %(message)s"
FIELDS = {"levelname": "level", "process": "process", "name": "logger", "message": "message"}


class NameRequest(logging.Filter):
    """Says of each line which request it belongs to, if to any."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every line pass."""
        named = REQUEST_ID.get()
        record.of_request = f" {named}" if named else ""
        if named:
            record.request_id = named
        return True


def log_config(level: str, form: str) -> dict[str, Any]:
    """What `logging.config.dictConfig` takes: lines on stderr, as `text` or `json`."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"text": {"format": TEXT}, "json": _json()},
        "filters": {"request": {"()": NameRequest}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": form,
                "filters": ["request"],
            }
        },
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {"faiss.loader": {"level": "WARNING"}},  # it reports each processor variant
    }


def _json() -> dict[str, Any]:
    return {
        "()": "pythonjsonlogger.orjson.OrjsonFormatter",
        "fmt": list(FIELDS),
        "rename_fields": {**FIELDS, "exc_info": "exception"},
        "reserved_attrs": [*RESERVED_ATTRS, "color_message", "of_request"],
        "timestamp": "time",
    }
