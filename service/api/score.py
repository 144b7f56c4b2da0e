"""POST /score: scores of given candidates, under the same weights as a list would have."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from service.api.answer import (
    REFUSALS,
    columns,
    features_of,
    look_up,
    made_by,
    sent,
    weights_for,
    written,
)
from service.api.limits import check_ids, check_user
from service.api.schemas import ScoreRequest, ScoreResponse
from service.api.short import ShortRoute
from service.features.known import LookedUp
from service.parts import Parts, parts_of
from service.retrieval.scorer import Candidates, score
from service.snapshots.snapshot import Snapshot
from service.weights.scenarios import InForce

router = APIRouter(tags=["retrieval"])


@router.post("/score", response_model=None, responses={200: {"model": ScoreResponse}, **REFUSALS})
async def score_items(
    body: ScoreRequest, request: Request, parts: Annotated[Parts, Depends(parts_of)]
) -> Response:
    """Scores of given items for a user under a scenario's weights, in the order given."""
    snapshot, settings = parts.holder.snapshot, parts.settings
    (weights,) = weights_for(body, [body.user], snapshot, parts)
    request.state.scenario = weights.scenario
    check_ids("item_ids", body.item_ids, settings.max_candidates, settings)
    check_user("user", body.user, snapshot, settings)
    looked_up = await look_up([body.user], snapshot, parts, seen=False)

    def answer(queued: float) -> bytes:
        return _answer(body, snapshot, weights, looked_up, queued, parts)

    return sent(await parts.compute.briefly(answer))


SHORT = ShortRoute("/score", ScoreRequest, score_items)


def _answer(
    body: ScoreRequest,
    snapshot: Snapshot,
    weights: InForce,
    looked_up: LookedUp,
    queued: float,
    parts: Parts,
) -> bytes:
    """Runs when its turn comes."""
    began = time.perf_counter()
    (known,) = looked_up.users
    found = score(
        snapshot,
        Candidates(body.user, weights.weights, body.item_ids, body.objective_scores, known.values),
    )
    parts.telemetry.observe_user(found.user, features_of(found.user, known))
    total = sum(looked_up.seconds.values()) + queued + time.perf_counter() - began
    seconds = {**looked_up.seconds, "queue": queued, **found.seconds, "total": total}
    shown = columns(found, weights, known)
    return written({**shown, "missing": found.missing, **made_by(snapshot, seconds)})
