"""POST /retrieve: the hot path.

The snapshot and the weights are read once, here, before anything is computed; the whole answer down
to its bytes is then made in one turn.
"""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from service.api.answer import (
    REFUSALS,
    features_of,
    listed,
    look_up,
    made_by,
    query_for,
    sent,
    weights_for,
    written,
)
from service.api.explain import explain
from service.api.limits import check_list, check_user
from service.api.schemas import RetrieveRequest, RetrieveResponse
from service.api.short import ShortRoute
from service.features.known import LookedUp
from service.parts import Parts, parts_of
from service.retrieval.retriever import retrieve
from service.snapshots.snapshot import Snapshot
from service.weights.scenarios import InForce

router = APIRouter(tags=["retrieval"])


@router.post(
    "/retrieve", response_model=None, responses={200: {"model": RetrieveResponse}, **REFUSALS}
)
async def retrieve_items(
    body: RetrieveRequest, request: Request, parts: Annotated[Parts, Depends(parts_of)]
) -> Response:
    """The k best items for a user under a scenario's weights, as columns."""
    snapshot = parts.holder.snapshot
    (weights,) = weights_for(body, [body.user], snapshot, parts)
    request.state.scenario = weights.scenario
    check_list(body, parts.settings)
    check_user("user", body.user, snapshot, parts.settings)
    looked_up = await look_up([body.user], snapshot, parts, seen=body.exclude_seen)

    def answer(queued: float) -> bytes:
        return _answer(body, snapshot, weights, looked_up, queued, parts)

    brief = snapshot.index.brief(body.k) and not body.filter
    return sent(await (parts.compute.briefly if brief else parts.compute.at_length)(answer))


SHORT = ShortRoute("/retrieve", RetrieveRequest, retrieve_items)


def _answer(
    body: RetrieveRequest,
    snapshot: Snapshot,
    weights: InForce,
    looked_up: LookedUp,
    queued: float,
    parts: Parts,
) -> bytes:
    """Runs when its turn comes: search, write the columns, note what was seen."""
    began = time.perf_counter()
    (known,) = looked_up.users
    query = query_for(body, body.user, weights, known, parts.effort.effort)
    found = retrieve(snapshot, query)
    seconds = {**looked_up.seconds, "queue": queued, **found.seconds}
    total = sum(looked_up.seconds.values()) + queued + time.perf_counter() - began
    shown = listed(body, found, weights, known)
    answer = {**shown, **made_by(snapshot, {**seconds, "total": total})}
    if body.explain:
        answer["explanation"] = explain(snapshot, query, weights, found).model_dump()
    writing = time.perf_counter()
    content = written(answer)
    parts.telemetry.observe_stages({**seconds, "respond": time.perf_counter() - writing})
    parts.telemetry.observe_user(found.user, features_of(found.user, known))
    parts.telemetry.lists.labels(weights.scenario, weights.whose).inc()
    parts.sampling.offer(snapshot, weights, query, found)
    return content
