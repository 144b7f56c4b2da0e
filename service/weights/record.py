"""One version of one scenario's weights, as stored, served and shown to operators.

Decisions
- A record is never edited: a change, also a rollback, is a new record with the next version, and
  says all that is in force from then on: the scenario's own weights, its variants, its schedule.
- Version 0 is the bundle's own default; it is never stored, so stored versions count from 1.
- The JSON form of a record is the same in every store, in the HTTP API and in the local fallback.
  `variants` and `schedule` are absent where a scenario has none.
- A schedule is data, read by the clock when a request comes: nothing has to run, or to be running,
  for it to begin and to end.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from service.weights.slots import SLOTS, Slots, are_ranges, size

DEFAULT_SCENARIO = "default"
LARGEST_VERSION = 2**53 - 1  # every store and every reader of JSON holds it exactly
MAX_VARIANTS = 20

NAME = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
NAME_RULE = "Lower-case letters, digits, `_`, `.` and `-`; at most 64."
ScenarioName = Annotated[str, StringConstraints(pattern=NAME), Field(description=NAME_RULE)]
VariantName = Annotated[str, StringConstraints(pattern=NAME), Field(description=NAME_RULE)]
ONE_LINE = r"^[^\x00-\x1f\x7f]+$"
Author = Annotated[str, StringConstraints(strip_whitespace=True, pattern=ONE_LINE, max_length=100)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, pattern=ONE_LINE, max_length=500)]
ScheduleState = Literal["planned", "in force", "ended"]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, serialize_by_alias=True
    )


class Variant(_Part):
    """Weights for the users in these slots."""

    weights: dict[str, float]
    slots: Slots

    @model_validator(mode="after")
    def _slots_are_ranges(self) -> Self:
        if not are_ranges(self.slots):
            raise ValueError(f"slots: expected ascending ranges with gaps, got {self.slots}")
        return self

    @property
    def share(self) -> float:
        """The part of the scenario's users."""
        return size(self.slots) / SLOTS


class Schedule(_Part):
    """Weights in force for a time instead of the scenario's own; without `until`, for good."""

    weights: dict[str, float]
    from_: AwareDatetime = Field(alias="from")
    until: AwareDatetime | None

    def state(self, now: datetime) -> ScheduleState:
        """Where a moment lies: `from` belongs to the schedule, `until` no longer does."""
        if now < self.from_:
            return "planned"
        return "in force" if self.until is None or now < self.until else "ended"


class WeightsRecord(_Part):
    """All weights of a scenario at a version: who set them, when and why."""

    scenario: ScenarioName
    version: Annotated[int, Field(ge=0)]
    weights: dict[str, float]
    author: Author
    reason: Reason
    time: datetime
    variants: dict[VariantName, Variant] = Field(
        default={}, exclude_if=lambda variants: not variants
    )
    schedule: Schedule | None = Field(default=None, exclude_if=lambda schedule: schedule is None)

    @model_validator(mode="after")
    def _slots_have_one_owner(self) -> Self:
        owned = sorted(part for variant in self.variants.values() for part in variant.slots)
        if any(after[0] < before[1] for before, after in pairwise(owned)):
            raise ValueError("variants: expected each slot to have one owner")
        return self

    @classmethod
    def first(cls, weights: dict[str, float]) -> WeightsRecord:
        """Version 0 of the default scenario: what the bundle recommends until someone decides."""
        return cls(
            scenario=DEFAULT_SCENARIO,
            version=0,
            weights=weights,
            author="bundle",
            reason="default weights of the bundle",
            time=datetime.fromtimestamp(0, UTC),
        )

    def all_weights(self) -> list[dict[str, float]]:
        """The scenario's own, its schedule's and its variants'."""
        scheduled = [self.schedule.weights] if self.schedule else []
        return [self.weights, *scheduled, *(v.weights for v in self.variants.values())]

    def summary(self) -> str:
        """All that is in force, in one line of a log."""
        weights = ", ".join(f"{stage}={k:g}" for stage, k in self.weights.items())
        shares = "".join(f"; {name} {v.share:.2%}" for name, v in self.variants.items())
        if self.schedule is None:
            return weights + shares
        end = f"until {self.schedule.until:%F %T}" if self.schedule.until else "for good"
        return f"{weights}{shares}; schedule from {self.schedule.from_:%F %T} {end}"
