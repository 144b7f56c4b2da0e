"""Bodies of the operators' routes: changes of a scenario, what is in force, and dry runs.

Decisions
- Every change says who and why, and may say which version it starts from.
- What a change leaves out stays as it is.
- Times carry their offset: an operator and a server may live in different zones.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic_core import PydanticCustomError

from service.api.schemas import EXAMPLE_USER, Closed, ListOf, Weights, with_example
from service.weights.record import LARGEST_VERSION, Author, Reason, ScheduleState, WeightsRecord

MAX_SAMPLE = 100  # users of one dry run

ExpectedVersion = Annotated[
    int | None,
    Field(
        ge=0,
        le=LARGEST_VERSION,
        description="Change only if the scenario is at this version (0: never set).",
    ),
]


def _time(value: object) -> datetime:
    """A time of day somewhere is no time: refused, like anything else without an offset."""
    try:
        parsed = datetime.fromisoformat(str(value))
        if isinstance(value, str) and parsed.tzinfo:
            return parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise PydanticCustomError("time", "a time with its offset, as 2026-12-24T18:00:00Z")


Time = Annotated[AwareDatetime, BeforeValidator(_time)]

EXAMPLE_WEIGHTS: dict[str, JsonValue] = {"exposure": 1.0, "click": 1.8, "conversion": 1.2}
EXAMPLE_CHANGE: dict[str, JsonValue] = {
    "author": "ana",
    "reason": "more clicks",
    "expected_version": 3,
}


class Signed(Closed):
    """Who changes a scenario, why, and from which version."""

    model_config = with_example(**EXAMPLE_CHANGE)

    author: Author
    reason: Reason
    expected_version: ExpectedVersion = None


class SetWeights(Signed):
    """A scenario's next weights."""

    model_config = with_example(weights=EXAMPLE_WEIGHTS, **EXAMPLE_CHANGE)

    weights: Weights


class SplitTraffic(Signed):
    """A variant's share of the users and its weights; what is left out stays as it is."""

    model_config = with_example(share=0.05, weights=EXAMPLE_WEIGHTS, **EXAMPLE_CHANGE)

    share: float | None = Field(
        None, description="From 0 to 1, in steps of 0.0001; at most what no other variant holds."
    )
    weights: Weights | None = None


class ScheduleWeights(Signed):
    """Other weights for a time; they take the place of a schedule that is there."""

    model_config = with_example(
        **{"weights": EXAMPLE_WEIGHTS, "from": "2026-12-24T18:00:00Z", **EXAMPLE_CHANGE},
        until="2026-12-27T06:00:00Z",
    )

    weights: Weights
    from_: Time | None = Field(None, alias="from", description="In force from then on; null: now.")
    until: Time | None = Field(
        description="From then on the scenario's own weights are in force again; null: never."
    )


class RollBack(Signed):
    """Make all that an older version says the next version."""

    model_config = with_example(to_version=1, **EXAMPLE_CHANGE)

    to_version: int = Field(
        ge=0,
        le=LARGEST_VERSION,
        description="0, of `default` alone: the weights that the bundle in force recommends.",
    )


class Scaled(BaseModel):
    """Weights, and what they do to the segments."""

    weights: dict[str, float]
    scales: dict[str, float] | None = Field(
        description="Factor of each stage's segment: the sum of the weights from that stage to "
        "the end, so it never increases along the cascade. null: these weights do not fit the "
        "stages of the bundle in force and are passed over."
    )


class ShownVariant(Scaled):
    """A variant of a scenario."""

    share: float


class ShownSchedule(Scaled):
    """A scenario's schedule, and where it stands now."""

    model_config = ConfigDict(serialize_by_alias=True)

    from_: datetime = Field(alias="from")
    until: datetime | None = Field(description="null: no end.")
    state: ScheduleState


class ScenarioWeights(Scaled):
    """All weights of a scenario: its own, its variants' and its schedule's."""

    scenario: str
    version: int = Field(description="0: never set, the bundle's default.")
    author: str
    reason: str
    time: datetime
    variants: dict[str, ShownVariant]
    schedule: ShownSchedule | None


class ScenarioList(BaseModel):
    """All scenarios, and how fresh this list is."""

    stages: list[str] = Field(description="The cascade, in order.")
    scenarios: list[ScenarioWeights]
    age_s: float | None = Field(
        description="Seconds since the weights store last answered; null: never since the start."
    )


class WeightsChange(BaseModel):
    """The new record and the one before it."""

    current: ScenarioWeights
    previous: ScenarioWeights | None


class History(BaseModel):
    """Versions of a scenario, newest first."""

    records: list[WeightsRecord]


class PreviewRequest(Closed):
    """Weights to try, and on whom."""

    model_config = with_example(weights=EXAMPLE_WEIGHTS, users=[EXAMPLE_USER], k=10)

    weights: Weights
    users: ListOf[dict[str, Any]] | None = Field(
        None,
        min_length=1,
        max_length=MAX_SAMPLE,
        description="Raw features of sample users; null: the users of the index's golden queries.",
    )
    k: int = Field(100, ge=1, description="Items per list; at most the service's max_k.")


class BeforeAfter(BaseModel):
    """The mean of each stage's own score, not weighted, over the items of the lists."""

    before: dict[str, float]
    after: dict[str, float]


class PreviewOfUser(BaseModel):
    """One user's lists, best item first."""

    user_id: str | None = Field(description="null: the record has none.")
    before: list[str]
    after: list[str]
    overlap: float = Field(description="The part of the longer list that is in both.")
    objective_scores: BeforeAfter


class Preview(BaseModel):
    """What weights would do to sample users. Nothing was changed."""

    run_id: str
    build_id: str
    scenario: str
    before: Scaled = Field(description="What is in force now for users of no variant.")
    after: Scaled
    weights_version: int
    overlap: float = Field(description="Mean over the users.")
    objective_scores: BeforeAfter = Field(description="Mean over the users.")
    users: list[PreviewOfUser]
