"""Which weights a request is served with.

Decisions
- The `default` scenario always exists: until someone sets it, it is version 0, the bundle's own.
- A variant's users are served its weights, everybody else the schedule's while it is in force, else
  the scenario's own. A schedule does not touch variants: what is compared stays comparable.
- Who sends no user id is in no variant: all such requests would share one slot.
- Stored weights that do not fit the cascade of the bundle in force (a bundle with other stages was
  published) are not guessed at but passed over, and reported. Where none fit, the bundle's default
  serves as version 0.
- Weights given in a request have no version: they are nobody's record.
- A pure function of the records, the snapshot, the request and the clock: every worker and every
  machine answers alike, also after a restart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from bundle.scoring import segment_scales
from bundle.weights import ObjectiveWeights, WeightsError
from service.snapshots.snapshot import Snapshot
from service.weights.board import Records
from service.weights.record import DEFAULT_SCENARIO, WeightsRecord
from service.weights.slots import holds, slot_of


class UnknownScenarioError(Exception):
    """No weights for this scenario, and the service is not set to serve unknown ones."""

    def __init__(self, scenario: str, existing: list[str]) -> None:
        self.scenario, self.existing = scenario, existing
        super().__init__(f"there is no scenario {scenario!r}; there are {existing}")


@dataclass(frozen=True)
class InForce:
    """The weights of one request and where they come from."""

    scenario: str
    version: int | None  # None for weights given in the request
    weights: ObjectiveWeights
    variant: str | None = None
    scheduled: bool = False
    record: WeightsRecord | None = None  # None for the bundle's default and the request's own

    @property
    def whose(self) -> str:
        """Whose weights they are, for counting."""
        if self.variant:
            return f"variant:{self.variant}"
        if self.scheduled:
            return "schedule"
        return "request" if self.version is None else "own"


def in_force(
    records: Records,
    snapshot: Snapshot,
    scenario: str,
    user_id: object,
    now: datetime,
    *,
    serve_unknown: bool = False,
) -> InForce:
    """Weights of a scenario for a user at a time. Raises UnknownScenarioError."""
    known = scenario in records or scenario == DEFAULT_SCENARIO
    if not known and not serve_unknown:
        raise UnknownScenarioError(scenario, names(records))
    served = scenario if known else DEFAULT_SCENARIO
    record, default = records.get(served), InForce(served, 0, snapshot.default_weights)
    if record is None:
        return default
    fitted = (
        InForce(served, record.version, weights, variant, scheduled, record)
        for variant, scheduled, candidate in _candidates(record, user_id, now)
        if (weights := fitting(candidate, snapshot))
    )
    return next(fitted, default)


def _candidates(
    record: WeightsRecord, user_id: object, now: datetime
) -> Iterator[tuple[str | None, bool, Mapping[str, float]]]:
    """Variant, whether scheduled, and weights: the first that fit the bundle serve."""
    if variant := variant_of(record, user_id):
        yield variant, False, record.variants[variant].weights
    if record.schedule and record.schedule.state(now) == "in force":
        yield None, True, record.schedule.weights
    yield None, False, record.weights


def variant_of(record: WeightsRecord, user_id: object) -> str | None:
    """The variant whose slots hold this user; numbers and their text are the same user."""
    if not record.variants or user_id in (None, "") or not isinstance(user_id, str | int):
        return None
    slot = slot_of(record.scenario, str(user_id))
    owners = (name for name, variant in record.variants.items() if holds(variant.slots, slot))
    return next(owners, None)


def names(records: Records) -> list[str]:
    """Every scenario that can be asked for, sorted."""
    return sorted({DEFAULT_SCENARIO, *records})


def get_record(records: Records, snapshot: Snapshot, scenario: str) -> WeightsRecord:
    """The record to show for a scenario. Raises UnknownScenarioError."""
    if scenario in records:
        return records[scenario]
    if scenario == DEFAULT_SCENARIO:
        return WeightsRecord.first(snapshot.default_weights.as_dict())
    raise UnknownScenarioError(scenario, names(records))


def fitting(weights: Mapping[str, float], snapshot: Snapshot) -> ObjectiveWeights | None:
    """The weights, if they name exactly the stages of the bundle in force."""
    try:
        return ObjectiveWeights.parse(dict(weights), snapshot.segments.names)
    except WeightsError:
        return None


def unfit(records: Records, snapshot: Snapshot) -> list[str]:
    """Scenarios with weights that do not fit the bundle in force."""
    return sorted(
        name
        for name, record in records.items()
        if not all(fitting(weights, snapshot) for weights in record.all_weights())
    )


def scales(weights: ObjectiveWeights) -> dict[str, float]:
    """What each stage's segment is multiplied with: sums of weights from the stage to the end."""
    values = segment_scales(weights.as_array()).tolist()
    return dict(zip(weights.stages, values, strict=True))
