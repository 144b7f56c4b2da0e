"""Splits a log by time: learn from the past, judge on what came after.

Decisions
- A request belongs to one side whole, by its ``ts``; at or after the split time is the test side.
- Both sides keep the whole catalogue and all users: retrieval is judged over everything on offer.
- Item features that saw events after the split would leak: such a split is refused.

Use: ``train, test = split_log(log, split_time(log, test_share=0.2))``.
"""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from training.logs.errors import LogError
from training.logs.integrity import IntegrityReport
from training.logs.reader import Log


def split_time(log: Log, test_share: float) -> int:
    """The time (Unix ms) from which on lie about ``test_share`` of the requests.

    Where log.yaml names the data set's own split (``test_from``), that is the time.
    """
    if log.spec.test_from is not None:
        return log.spec.test_from
    if not 0 < test_share < 1:
        raise ValueError(f"test_share is {test_share}, expected a share between 0 and 1")
    times = log.requests["ts"].sort()
    return int(times[min(int(len(times) * (1 - test_share)), len(times) - 1)])


def split_log(log: Log, at_ms: int) -> tuple[Log, Log]:
    """(requests before ``at_ms``, requests from ``at_ms`` on), each a full log.

    Raises LogError where a side would be empty or item features would leak.
    """
    until = log.spec.item_features_until
    if until is not None and at_ms < until:
        raise LogError(
            "log.yaml",
            "item_features_until",
            None,
            f"item features saw events up to {iso(until)}, after the split at {iso(at_ms)}",
            f"Split at {until} or later, or convert again with --item-features-until {at_ms}",
        )
    before = log.requests["ts"] < at_ms
    if before.all() or not before.any():
        raise LogError(
            "requests.parquet",
            "ts",
            None,
            f"a split at {iso(at_ms)} ({at_ms}) leaves one side without requests",
            "The requests span {} to {}".format(
                *log.requests["ts"].bottom_k(1), *log.requests["ts"].top_k(1)
            ),
        )
    return _part(log, before), _part(log, ~before)


def iso(ms: int) -> str:
    """Unix milliseconds as ISO 8601 in UTC."""
    return datetime.fromtimestamp(ms / 1000, tz=UTC).isoformat(timespec="milliseconds")


def _part(log: Log, chosen: pl.Series) -> Log:
    requests = log.requests.filter(chosen)
    events = log.events.join(
        requests.select("request_id"), on="request_id", how="semi", maintain_order="left"
    )
    spec = log.spec.model_copy(update={"test_from": None})  # a part may be split again
    return Log(spec, requests, events, log.items, log.users, IntegrityReport(()))
