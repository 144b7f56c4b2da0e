"""The side that does the same work without HTTP: bytes of a body in, bytes of an answer out.

Decisions
- These are the service's own functions, in the order of service/api/retrieve.py: read and
  validate, find the weights, check the bounds, retrieve, write.
- Left out is what belongs to serving others: server, routing, admission, pool, metrics, samples.
"""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from loadtests.over_http.side import options_of_side, take_turns
from service.api.answer import listed, made_by, query_for, written
from service.api.limits import check_list, check_user
from service.api.schemas import RetrieveRequest
from service.app import open_holder
from service.features.known import without_store
from service.retrieval.effort import FULL
from service.retrieval.retriever import retrieve
from service.settings import Settings
from service.weights.scenarios import in_force


class InProcess:
    """The current pair of a releases folder, and bodies to answer from it."""

    def __init__(self, releases: str, state: str, bodies: list[str]) -> None:
        self._settings = Settings(releases=Path(releases), state_dir=Path(state))
        self._snapshot = open_holder(self._settings).snapshot
        self._records = MappingProxyType({})  # the bundle's own weights, as of a new service
        self._bodies = itertools.cycle([body.encode() for body in bodies])

    def work(self, seconds: float) -> list[float]:
        """Answer for so long; the seconds that each answer took."""
        times, end = [], (began := time.perf_counter()) + seconds
        while began < end:
            self.answer(next(self._bodies))
            now = time.perf_counter()
            times.append(now - began)
            began = now
        return times

    def answer(self, content: bytes) -> bytes:
        """The answer to one body."""
        snapshot, (known,) = self._snapshot, without_store(1).users
        body = RetrieveRequest.model_validate_json(content)
        user_id, now = body.user.get("user_id"), datetime.now(UTC)
        weights = in_force(
            self._records, snapshot, body.scenario, user_id, now, serve_unknown=False
        )
        check_list(body, self._settings)
        check_user("user", body.user, snapshot, self._settings)
        found = retrieve(snapshot, query_for(body, body.user, weights, known, FULL))
        return written({**listed(body, found, weights, known), **made_by(snapshot, found.seconds)})


if __name__ == "__main__":
    take_turns(InProcess(**options_of_side()).work)
