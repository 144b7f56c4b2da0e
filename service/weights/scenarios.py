"""Which weights a request is served with.

Decisions
- The `default` scenario always exists: until someone sets it, it is version 0, the bundle's own.
- A stored record that does not fit the cascade of the bundle in force (a bundle with other stages
  was published) is not guessed at: the bundle's default serves as version 0, and it is reported.
- Weights given in a request have no version: they are nobody's record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bundle.scoring import segment_scales
from bundle.weights import ObjectiveWeights, WeightsError
from service.snapshots.snapshot import Snapshot
from service.weights.board import Records
from service.weights.record import DEFAULT_SCENARIO, WeightsRecord


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


def in_force(
    records: Records, snapshot: Snapshot, scenario: str, *, serve_unknown: bool
) -> InForce:
    """Weights of a scenario. Raises UnknownScenarioError."""
    known = scenario in records or scenario == DEFAULT_SCENARIO
    if not known and not serve_unknown:
        raise UnknownScenarioError(scenario, names(records))
    served = scenario if known else DEFAULT_SCENARIO
    record = records.get(served)
    weights = fitting(record.weights, snapshot) if record else None
    if record and weights:
        return InForce(served, record.version, weights)
    return InForce(served, 0, snapshot.default_weights)


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
    """Scenarios whose record does not fit the bundle in force."""
    return sorted(
        name for name, record in records.items() if fitting(record.weights, snapshot) is None
    )


def scales(weights: ObjectiveWeights) -> dict[str, float]:
    """What each stage's segment is multiplied with: sums of weights from the stage to the end."""
    values = segment_scales(weights.as_array()).tolist()
    return dict(zip(weights.stages, values, strict=True))
