"""POST /score: scores of given candidates, under the same weights as a list would have."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from service.api.answer import REFUSALS, columns, made_by, sent, weights_for, written
from service.api.limits import check_ids, check_user
from service.api.schemas import ScoreRequest, ScoreResponse
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
    asked = Candidates(body.user, weights.weights, body.item_ids, body.objective_scores)
    return sent(
        await parts.pool.run(lambda queued: _answer(snapshot, asked, weights, queued, parts))
    )


def _answer(
    snapshot: Snapshot, asked: Candidates, weights: InForce, queued: float, parts: Parts
) -> bytes:
    """Runs in the compute pool."""
    began = time.perf_counter()
    found = score(snapshot, asked)
    parts.telemetry.observe_unknown(found.user)
    total = queued + time.perf_counter() - began
    seconds = {"queue": queued, **found.seconds, "total": total}
    shown = {**columns(found, weights), "missing": found.missing, **made_by(snapshot, seconds)}
    return written(shown)
