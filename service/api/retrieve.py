"""POST /retrieve: the hot path.

Decisions
- The snapshot and the weights are read once, here, before anything is computed; the whole answer
  down to its bytes is then made in the compute pool.
- The body is written by orjson from numpy columns, past FastAPI's response models: they cost more
  than the search at k = 500, and there is nothing left to validate.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response

from bundle.weights import ObjectiveWeights
from service.api.limits import check_limits
from service.api.schemas import ErrorBody, RetrieveRequest, RetrieveResponse
from service.parts import Parts, parts_of
from service.retrieval.filters import Condition
from service.retrieval.retriever import Query, Retrieved, retrieve
from service.snapshots.snapshot import Snapshot
from service.weights.scenarios import InForce, in_force

router = APIRouter(tags=["retrieval"])
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (400, 401, 403, 404, 408, 413, 415, 422, 503)
}


@router.post(
    "/retrieve", response_model=None, responses={200: {"model": RetrieveResponse}, **REFUSALS}
)
async def retrieve_items(
    body: RetrieveRequest, request: Request, parts: Annotated[Parts, Depends(parts_of)]
) -> Response:
    """The k best items for a user under a scenario's weights, as columns."""
    snapshot = parts.holder.snapshot
    weights = _weights(body, snapshot, parts)
    request.state.scenario = weights.scenario
    check_limits(body, snapshot, parts.settings)
    query = Query(
        body.user,
        weights.weights,
        body.k,
        body.exclude,
        body.objective_scores,
        [Condition(**dict(condition)) for condition in body.filter],
    )

    def answer(queued: float) -> bytes:
        return _answer(snapshot, query, weights, queued, parts)

    return Response(await parts.pool.run(answer), media_type="application/json")


def _weights(body: RetrieveRequest, snapshot: Snapshot, parts: Parts) -> InForce:
    weights = in_force(
        parts.board.records,
        snapshot,
        body.scenario,
        body.user.get("user_id"),
        datetime.now(UTC),
        serve_unknown=parts.settings.serve_unknown_scenarios,
    )
    if body.weights is None:
        return weights
    given = ObjectiveWeights.parse(dict(body.weights), snapshot.segments.names)
    return InForce(weights.scenario, None, given)


def _answer(
    snapshot: Snapshot, query: Query, weights: InForce, queued: float, parts: Parts
) -> bytes:
    """Runs in the compute pool: search, write the columns, note what was seen."""
    began = time.perf_counter()
    found = retrieve(snapshot, query)
    seconds = {"queue": queued, **found.seconds}
    seconds["total"] = queued + time.perf_counter() - began
    columns = _columns(snapshot, found, weights, seconds)
    writing = time.perf_counter()
    body = orjson.dumps(columns, option=orjson.OPT_SERIALIZE_NUMPY)
    respond = time.perf_counter() - writing
    parts.telemetry.observe_stages({"queue": queued, **found.seconds, "respond": respond})
    parts.telemetry.observe_unknown(found)
    parts.telemetry.lists.labels(weights.scenario, weights.whose).inc()
    return body


def _columns(
    snapshot: Snapshot, found: Retrieved, weights: InForce, seconds: dict[str, float]
) -> dict[str, object]:
    columns: dict[str, object] = {
        "item_ids": found.item_ids,
        "scores": found.scores,
        "run_id": snapshot.run_id,
        "build_id": snapshot.build_id,
        "catalogue_position": snapshot.index.position,
        "scenario": weights.scenario,
        "weights_version": weights.version,
        "timings_ms": {stage: round(1e3 * spent, 3) for stage, spent in seconds.items()},
    }
    if weights.record and weights.record.variants:
        columns["variant"] = weights.variant
    if weights.record and weights.record.schedule:
        columns["scheduled"] = weights.scheduled
    if found.objective_scores is not None:
        columns["objective_scores"] = found.objective_scores
    if found.unknown_features or found.unknown_categories:
        columns["unknown"] = {
            "features": found.unknown_features,
            "categories": found.unknown_categories,
        }
    return columns
