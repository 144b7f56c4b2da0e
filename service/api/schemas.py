"""Bodies of requests and responses: strict, closed and bounded.

Decisions
- Types are not coerced ("5" is not 5) and unknown fields are refused: a misspelt `exclude` must not
  silently exclude nothing. Only inside `user` are unknown names served, and counted.
- Bounds that an operator may set (k, list lengths) are checked in retrieve.py, by the settings.
- Response models document the API; the hot path writes its columns directly.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from service.weights.record import (
    DEFAULT_SCENARIO,
    LARGEST_VERSION,
    Author,
    Reason,
    ScenarioName,
    WeightsRecord,
)

Weights = Annotated[
    dict[str, float],
    Field(
        description="One number >= 0 per stage of the cascade, not all zero. A cascade of three "
        "also takes the names k_d, k_o, k_r.",
    ),
]
ExpectedVersion = Annotated[
    int | None,
    Field(
        ge=0,
        le=LARGEST_VERSION,
        description="Change only if the scenario is at this version (0: never set).",
    ),
]

EXAMPLE_USER: dict[str, JsonValue] = {
    "user_id": "u00014",
    "hour": 8,
    "recent_items": ["i0000083", "i0000271"],
}
EXAMPLE_WEIGHTS: dict[str, JsonValue] = {"exposure": 1.0, "click": 1.8, "conversion": 1.2}
EXAMPLE_CHANGE: dict[str, JsonValue] = {
    "author": "ana",
    "reason": "more clicks",
    "expected_version": 3,
}


def _with_example(**example: JsonValue) -> ConfigDict:
    """Strict and closed, and with an example that /docs fills in."""
    return ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra={"examples": [example]},
    )


class RetrieveRequest(BaseModel):
    """Who asks, under which scenario, and for how many items."""

    model_config = _with_example(scenario="default", user=EXAMPLE_USER, k=10)

    scenario: ScenarioName = DEFAULT_SCENARIO
    user: dict[str, Any] = Field(
        description="Raw features by name, as in the training log. Missing and unknown ones are "
        "served; a value of the wrong type is refused.",
    )
    k: int = Field(100, ge=1, description="Items wanted; at most the service's max_k.")
    exclude: list[str] = Field([], description="Item ids that must not be returned.")
    weights: Weights | None = Field(None, description="Use these instead of the scenario's.")
    objective_scores: bool = Field(False, description="Also return each stage's own score.")


class Unknown(BaseModel):
    """What the towers could not read."""

    features: list[str] = Field(description="Names that the towers do not read.")
    categories: dict[str, int] = Field(description="Values outside a feature's vocabulary.")


class RetrieveResponse(BaseModel):
    """Columns, best item first; entry i of each column belongs to `item_ids[i]`."""

    item_ids: list[str]
    scores: list[float] = Field(description="Weighted score, the one ranked by.")
    objective_scores: dict[str, list[float]] | None = Field(
        None, description="Per stage, its own score; absent unless asked for."
    )
    run_id: str
    build_id: str
    scenario: str = Field(description="The scenario whose weights served.")
    weights_version: int | None = Field(description="null: the weights came with the request.")
    timings_ms: dict[str, float] = Field(description="queue, encode, tower, search, total.")
    unknown: Unknown | None = Field(None, description="Absent if everything was known.")


class SetWeights(BaseModel):
    """A scenario's next weights."""

    model_config = _with_example(weights=EXAMPLE_WEIGHTS, **EXAMPLE_CHANGE)

    weights: Weights
    author: Author
    reason: Reason
    expected_version: ExpectedVersion = None


class RollBack(BaseModel):
    """Make an older version's weights the next version."""

    model_config = _with_example(to_version=1, **EXAMPLE_CHANGE)

    to_version: int = Field(ge=1, le=LARGEST_VERSION)
    author: Author
    reason: Reason
    expected_version: ExpectedVersion = None


class ScenarioWeights(BaseModel):
    """A scenario's record, and what its weights do to the segments."""

    scenario: str
    version: int = Field(description="0: never set, the bundle's default.")
    weights: dict[str, float]
    scales: dict[str, float] | None = Field(
        description="Factor of each stage's segment: the sum of the weights from that stage to "
        "the end, so it never increases along the cascade. null: the record does not fit the "
        "stages of the bundle in force, whose default serves instead."
    )
    author: str
    reason: str
    time: datetime


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


class ErrorDetail(BaseModel):
    """What was wrong, where, and what was expected."""

    code: str
    field: str
    value: Any
    expected: str
    message: str
    current: WeightsRecord | None = Field(None, description="On a conflict: what is there.")


class ErrorBody(BaseModel):
    """The body of every 4xx and 5xx."""

    error: ErrorDetail
