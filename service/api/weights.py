"""Scenarios and their weights, for operators.

Decisions
- Reading shows the board: what this worker serves with, also while the store is away.
- A change is checked against the bundle in force, written to the store, and on this worker's board
  before it is answered; other workers follow within milliseconds.
- These routes block on the store, so they run in FastAPI's thread pool, apart from compute.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from bundle.weights import ObjectiveWeights
from service.api.schemas import (
    ErrorBody,
    History,
    RollBack,
    ScenarioList,
    ScenarioWeights,
    SetWeights,
    WeightsChange,
)
from service.parts import Parts, parts_of
from service.weights import scenarios
from service.weights.record import (
    DEFAULT_SCENARIO,
    LARGEST_VERSION,
    ScenarioName,
    WeightsRecord,
)
from service.weights.store import Change, roll_back, set_weights


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody} for status in statuses}


router = APIRouter(prefix="/scenarios", tags=["weights"])
UsedParts = Annotated[Parts, Depends(parts_of)]
CHANGE_REFUSALS = _refusals(400, 404, 409, 415, 422, 503)


@router.get("")
def list_scenarios(parts: UsedParts) -> ScenarioList:
    """Every scenario with the weights in force."""
    records, snapshot = parts.board.records, parts.holder.snapshot
    refreshed = parts.board.refreshed_at
    return ScenarioList(
        stages=list(snapshot.segments.names),
        scenarios=[
            _shown(scenarios.get_record(records, snapshot, name), parts)
            for name in scenarios.names(records)
        ],
        age_s=None if refreshed is None else max(0.0, time.time() - refreshed),
    )


@router.get("/{name}/weights", responses=_refusals(404, 422))
def get_weights(name: ScenarioName, parts: UsedParts) -> ScenarioWeights:
    """The weights in force for a scenario."""
    record = scenarios.get_record(parts.board.records, parts.holder.snapshot, name)
    return _shown(record, parts)


@router.put("/{name}/weights", responses=CHANGE_REFUSALS)
def put_weights(name: ScenarioName, body: SetWeights, parts: UsedParts) -> WeightsChange:
    """Set a scenario's weights; a scenario that does not exist yet is created."""
    weights = _checked(body.weights, parts).as_dict()
    return _changed(set_weights(parts.store, _change(name, body), weights), parts)


@router.post("/{name}/weights/rollback", responses=CHANGE_REFUSALS)
def post_rollback(name: ScenarioName, body: RollBack, parts: UsedParts) -> WeightsChange:
    """Make the weights of an older version the next version."""

    def check(weights: Mapping[str, float]) -> None:
        _checked(weights, parts)

    change = _change(name, body)
    return _changed(roll_back(parts.store, change, body.to_version, check=check), parts)


@router.get("/{name}/weights/history", responses=_refusals(404, 422, 503))
def get_history(
    name: ScenarioName,
    parts: UsedParts,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    before: Annotated[
        int | None, Query(ge=1, le=LARGEST_VERSION, description="Only versions below this one.")
    ] = None,
) -> History:
    """Versions of a scenario, newest first; page on with `before`."""
    scenarios.get_record(parts.board.records, parts.holder.snapshot, name)
    return History(records=parts.store.history(name, limit, before))


def _checked(weights: Mapping[str, float], parts: Parts) -> ObjectiveWeights:
    stages = parts.holder.snapshot.segments.names
    return ObjectiveWeights.parse(dict(weights), stages)


def _change(name: str, body: SetWeights | RollBack) -> Change:
    return Change(name, body.author, body.reason, body.expected_version)


def _changed(record: WeightsRecord, parts: Parts) -> WeightsChange:
    """Put a new record on this worker's board and show it beside the one before."""
    parts.board.refresh()
    older = parts.store.history(record.scenario, 1, before=record.version)
    if not older and record.scenario == DEFAULT_SCENARIO:
        older = [WeightsRecord.first(parts.holder.snapshot.default_weights.as_dict())]
    previous = _shown(older[0], parts) if older else None
    return WeightsChange(current=_shown(record, parts), previous=previous)


def _shown(record: WeightsRecord, parts: Parts) -> ScenarioWeights:
    weights = scenarios.fitting(record.weights, parts.holder.snapshot)
    scales = scenarios.scales(weights) if weights else None
    return ScenarioWeights(**record.model_dump(), scales=scales)
