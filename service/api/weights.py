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
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from bundle.weights import ObjectiveWeights
from service.api.schemas import refusals
from service.api.weights_schemas import (
    History,
    RollBack,
    ScenarioList,
    ScenarioWeights,
    ScheduleWeights,
    SetWeights,
    ShownSchedule,
    ShownVariant,
    Signed,
    SplitTraffic,
    WeightsChange,
)
from service.parts import Parts, parts_of
from service.weights import changes, scenarios, variants
from service.weights.changes import Change
from service.weights.record import (
    DEFAULT_SCENARIO,
    LARGEST_VERSION,
    ScenarioName,
    VariantName,
    WeightsRecord,
)
from service.weights.store import StoreUnavailableError

router = APIRouter(prefix="/scenarios", tags=["weights"])
UsedParts = Annotated[Parts, Depends(parts_of)]
CHANGE_REFUSALS = refusals(400, 401, 403, 404, 408, 409, 413, 415, 422, 503)


@router.get("", responses=refusals(401, 403))
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


@router.get("/{name}/weights", responses=refusals(401, 403, 404, 422))
def get_weights(name: ScenarioName, parts: UsedParts) -> ScenarioWeights:
    """The weights in force for a scenario."""
    record = scenarios.get_record(parts.board.records, parts.holder.snapshot, name)
    return _shown(record, parts)


@router.put("/{name}/weights", responses=CHANGE_REFUSALS)
def put_weights(name: ScenarioName, body: SetWeights, parts: UsedParts) -> WeightsChange:
    """Set a scenario's weights; a scenario that does not exist yet is created."""
    weights = _checked(body.weights, parts)
    change = _signed(name, body, parts, _last(name, parts))
    return _changed(changes.set_weights(parts.store, change, weights), parts)


@router.post("/{name}/weights/rollback", responses=CHANGE_REFUSALS)
def post_rollback(name: ScenarioName, body: RollBack, parts: UsedParts) -> WeightsChange:
    """Make an older version the next one: its weights, its variants and its schedule.

    0 of `default` is what the bundle in force recommends.
    """

    def check(record: WeightsRecord) -> None:
        for weights in record.all_weights():
            _checked(weights, parts)

    change = _signed(name, body, parts, _last(name, parts))
    first = _first(parts) if name == DEFAULT_SCENARIO else None
    record = changes.roll_back(parts.store, change, body.to_version, first=first, check=check)
    return _changed(record, parts)


@router.put("/{name}/variants/{variant}", responses=CHANGE_REFUSALS)
def put_variant(
    name: ScenarioName, variant: VariantName, body: SplitTraffic, parts: UsedParts
) -> WeightsChange:
    """Serve a share of the users with other weights; only users that must move do."""
    weights = None if body.weights is None else _checked(body.weights, parts)
    change = _signed(name, body, parts, _in_force(name, parts))
    return _changed(variants.split(parts.store, change, variant, body.share, weights), parts)


@router.post("/{name}/variants/{variant}/end", responses=CHANGE_REFUSALS)
def end_variant(
    name: ScenarioName, variant: VariantName, body: Signed, parts: UsedParts
) -> WeightsChange:
    """Serve a variant's users with the scenario's own weights again."""
    change = _signed(name, body, parts, _in_force(name, parts))
    return _changed(variants.end_variant(parts.store, change, variant), parts)


@router.post("/{name}/variants/{variant}/promote", responses=CHANGE_REFUSALS)
def promote_variant(
    name: ScenarioName, variant: VariantName, body: Signed, parts: UsedParts
) -> WeightsChange:
    """Make a variant's weights the scenario's own, and end the variant."""
    change = _signed(name, body, parts, _in_force(name, parts))
    record = variants.promote(
        parts.store, change, variant, check=lambda weights: _checked(weights, parts)
    )
    return _changed(record, parts)


@router.put("/{name}/schedule", responses=CHANGE_REFUSALS)
def put_schedule(name: ScenarioName, body: ScheduleWeights, parts: UsedParts) -> WeightsChange:
    """Put other weights in force for a time; the return needs nobody."""
    weights = _checked(body.weights, parts)
    change = _signed(name, body, parts, _in_force(name, parts))
    record = changes.schedule(parts.store, change, weights, body.from_, body.until)
    return _changed(record, parts)


@router.post("/{name}/schedule/cancel", responses=CHANGE_REFUSALS)
def cancel_schedule(name: ScenarioName, body: Signed, parts: UsedParts) -> WeightsChange:
    """Drop the schedule, begun or not."""
    change = _signed(name, body, parts, _in_force(name, parts))
    return _changed(changes.cancel(parts.store, change), parts)


@router.get("/{name}/weights/history", responses=refusals(401, 403, 404, 422, 503))
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


def _checked(weights: Mapping[str, float], parts: Parts) -> dict[str, float]:
    stages = parts.holder.snapshot.segments.names
    return ObjectiveWeights.parse(dict(weights), stages).as_dict()


def _last(name: str, parts: Parts) -> WeightsRecord | None:
    """The newest record, if there is one; what the store lost has been put back into it."""
    parts.board.refresh()
    return parts.board.records.get(name)


def _in_force(name: str, parts: Parts) -> WeightsRecord:
    """The newest record, or where there is none the default's. Raises UnknownScenarioError."""
    _last(name, parts)
    return scenarios.get_record(parts.board.records, parts.holder.snapshot, name)


def _first(parts: Parts) -> WeightsRecord:
    """Version 0 of the default scenario."""
    return WeightsRecord.first(parts.holder.snapshot.default_weights.as_dict())


def _signed(name: str, body: Signed, parts: Parts, in_force: WeightsRecord | None) -> Change:
    words = (name, body.author, body.reason, body.expected_version)
    return Change(*words, in_force, parts.board.give_back)


def _changed(record: WeightsRecord, parts: Parts) -> WeightsChange:
    """Put a new record on this worker's board and show it beside the one before."""
    older: list[WeightsRecord] | None = None
    with suppress(StoreUnavailableError):  # it is written, and the board will hear of it
        parts.board.refresh()
        older = parts.store.history(record.scenario, 1, before=record.version)
    if older == [] and record.scenario == DEFAULT_SCENARIO:
        older = [_first(parts)]
    previous = _shown(older[0], parts) if older else None
    return WeightsChange(current=_shown(record, parts), previous=previous)


def _shown(record: WeightsRecord, parts: Parts) -> ScenarioWeights:
    planned, shown_schedule = record.schedule, None
    if planned:
        state = planned.state(datetime.now(UTC))
        fields = {**planned.model_dump(), **_scaled(planned.weights, parts), "state": state}
        shown_schedule = ShownSchedule.model_validate(fields)
    return ScenarioWeights(
        **_scaled(record.weights, parts),
        scenario=record.scenario,
        version=record.version,
        author=record.author,
        reason=record.reason,
        time=record.time,
        variants={
            name: ShownVariant(**_scaled(variant.weights, parts), share=variant.share)
            for name, variant in record.variants.items()
        },
        schedule=shown_schedule,
    )


def _scaled(weights: Mapping[str, float], parts: Parts) -> dict[str, Any]:
    """Fields of a Scaled."""
    fitted = scenarios.fitting(weights, parts.holder.snapshot)
    return {"weights": dict(weights), "scales": scenarios.scales(fitted) if fitted else None}
