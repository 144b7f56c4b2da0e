"""Bodies of requests and responses: strict, closed and bounded.

Decisions
- Types are not coerced ("5" is not 5) and unknown fields are refused: a misspelt `exclude` must not
  silently exclude nothing. Only inside `user` are unknown names served, and counted.
- Bounds that an operator may set (k, list lengths) are checked in limits.py, by the settings.
- The first wrong entry of a list or an object ends the search for more: an error takes a hundred
  times the memory of what it is about, and only the first is shown.
- Response models document the API; the hot path writes its columns directly.
- Bodies of the operators' routes are in weights_schemas.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from service.features.known import Origin
from service.retrieval.index import Strategy
from service.weights.record import (
    DEFAULT_SCENARIO,
    ScenarioName,
    WeightsRecord,
)

Entry = TypeVar("Entry")
ListOf = Annotated[list[Entry], Field(fail_fast=True)]
Weights = Annotated[
    dict[str, float],
    Field(
        fail_fast=True,
        description="One number >= 0 per stage of the cascade, not all zero. A cascade of three "
        "also takes the names k_d, k_o, k_r.",
    ),
]
FilterValue = str | bool | int | float
FeatureOrigin = Literal["request", "stored", "unreadable", "missing"]
EXAMPLE_USER: dict[str, JsonValue] = {
    "user_id": "u00014",
    "hour": 8,
    "recent_items": ["i0000083", "i0000271"],
}


def with_example(**example: JsonValue) -> ConfigDict:
    """With an example that /docs fills in."""
    return ConfigDict(serialize_by_alias=True, json_schema_extra={"examples": [example]})


class Closed(BaseModel):
    """Strict, and without any other field."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _one_unknown(cls, body: object) -> object:
        """Of more fields than there are, one unknown one stays: enough to be refused by."""
        if not isinstance(body, dict) or len(body) <= len(cls.model_fields):
            return body
        names = [field.alias or name for name, field in cls.model_fields.items()]
        unknown = next(name for name in body if name not in names)
        return {name: body[name] for name in (*names, unknown) if name in body}


class FilterCondition(Closed):
    """What must hold of one attribute of an item; everything said must hold."""

    attribute: str = Field(description="One of the index's attributes.")
    equals: FilterValue | None = Field(None, description="Text, a number or a boolean, by type.")
    one_of: ListOf[FilterValue] | None = Field(None, alias="in")
    none_of: ListOf[FilterValue] | None = Field(
        None, alias="not_in", description="Items without a value pass this, and nothing else."
    )
    least: float | None = Field(None, alias="min", description="At least this number.")
    most: float | None = Field(None, alias="max", description="At most this number.")


User = Annotated[
    dict[str, Any],
    Field(
        description="Raw features by name, as in the training log. Missing and unknown ones are "
        "served; a value of the wrong type is refused.",
    ),
]


class Weighted(Closed):
    """By which weights items are scored, and whether each stage's own scores are wanted."""

    scenario: ScenarioName = DEFAULT_SCENARIO
    weights: Weights | None = Field(None, description="Use these instead of the scenario's.")
    objective_scores: bool = Field(False, description="Also return each stage's own score.")


class Listed(Weighted):
    """Which list is wanted."""

    k: int = Field(100, ge=1, description="Items wanted; at most the service's max_k.")
    exclude: ListOf[str] = Field([], description="Item ids that must not be returned.")
    exclude_seen: bool = Field(
        False, description="Also leave out the newest of what is stored as seen by the user."
    )
    filter: ListOf[FilterCondition] = Field(
        [], description="Return only items that meet all of these conditions."
    )


class RetrieveRequest(Listed):
    """Who asks, under which scenario, and for how many items."""

    model_config = with_example(scenario="default", user=EXAMPLE_USER, k=10)

    user: User
    explain: bool = Field(False, description="Also say how the list came about.")


class BatchRequest(Listed):
    """Who ask, under which scenario, and for how many items each."""

    model_config = with_example(scenario="default", users=[EXAMPLE_USER, {}], k=10)

    users: ListOf[User] = Field(min_length=1, description="At most the service's max_batch.")


class ScoreRequest(Weighted):
    """For whom, under which scenario, and which items."""

    model_config = with_example(
        scenario="default", user=EXAMPLE_USER, item_ids=["i0000083", "i0000271"]
    )

    user: User
    item_ids: ListOf[str] = Field(description="Candidates; at most the service's max_candidates.")


class Unknown(BaseModel):
    """What the towers could not read."""

    features: list[str] = Field(description="Names that the towers do not read.")
    categories: dict[str, int] = Field(description="Values outside a feature's vocabulary.")


class Columns(BaseModel):
    """Columns of items; entry i of each belongs to `item_ids[i]`."""

    item_ids: list[str]
    scores: list[float] = Field(description="Weighted score, the one ranked by.")
    objective_scores: dict[str, list[float]] | None = Field(
        None, description="Per stage, its own score; absent unless asked for."
    )
    scenario: str = Field(description="The scenario whose weights served.")
    weights_version: int | None = Field(description="null: the weights came with the request.")
    variant: str | None = Field(
        None,
        description="Whose weights served, null: the scenario's own. Absent if it has no variants.",
    )
    scheduled: bool = Field(
        False, description="Whether its weights served. Absent if the scenario has no schedule."
    )
    features: Origin | Literal["unreadable"] | None = Field(
        None,
        description="Where features that the request lacked came from. stored: the feature store. "
        "inline: nothing was looked up, as there was no user_id or nothing was lacking. unknown: "
        "nothing is stored of this user. unavailable: the store did not answer in time. "
        "unreadable: a stored value is not what the towers read and was left out. Absent without "
        "a store.",
    )
    unknown: Unknown | None = Field(None, description="Absent if everything was known.")


class ListColumns(Columns):
    """Columns of a list, best item first."""

    effort: float = Field(
        1.0,
        description="The share of its cells that the search visited because the service is under "
        "pressure, with less recall. Absent while it is not.",
    )
    seen_excluded: int | None = Field(
        None,
        description="How many seen items of the user are known and kept out of the list, whether "
        "or not they would have been in it; null if what was seen is not to be had. Absent unless "
        "asked for.",
    )


class MadeBy(BaseModel):
    """What an answer was made by, and in which time."""

    run_id: str
    build_id: str
    catalogue_position: int = Field(description="The last change of the catalogue in this answer.")
    timings_ms: dict[str, float] = Field(
        description="features (with a feature store), queue, encode, tower, search (or score), "
        "total."
    )


class ExplainedWeights(BaseModel):
    """What scores were weighted with."""

    origin: str = Field(
        description="bundle (nobody set the scenario), own, schedule, variant:<name> or request."
    )
    weights: dict[str, float]
    scales: dict[str, float] = Field(description="What each stage's segment is multiplied with.")


class ExplainedSearch(BaseModel):
    """What the search did, and what may be expected of it."""

    strategy: Strategy = Field(
        description="all: every row of an exact index. cells: some of an inverted file. scan: the "
        "rows that pass the filter, exactly. none: nothing was left to search for."
    )
    candidates: int = Field(description="Items that pass the filter; without one, all.")
    excluded: int = Field(description="Excluded items that the catalogue has.")
    cells: int = Field(description="Cells visited, by the last attempt.")
    of_cells: int = Field(description="Cells that the index has, 0 for an exact one.")
    attempts: int = Field(description="More than one: the first search found too few items.")
    delta_items: int = Field(description="Items scanned beside the index, exactly.")
    recall: float = Field(
        description="The recall measured when the index was built, at the list lengths around "
        "this one; with a filter, the one aimed at; 1 where all was searched."
    )


class Explanation(BaseModel):
    """How a list came about."""

    weights: ExplainedWeights
    search: ExplainedSearch
    features: dict[str, FeatureOrigin] = Field(
        description="Where the value of each feature that the tower reads came from."
    )


class RetrieveResponse(ListColumns, MadeBy):
    """Columns, best item first."""

    explanation: Explanation | None = Field(None, description="Absent unless asked for.")


class BatchResponse(MadeBy):
    """A list for each user, in the order of the users."""

    results: list[ListColumns]


class ScoreResponse(Columns, MadeBy):
    """Columns of the candidates that there are, in the order given."""

    missing: list[str] = Field(description="Candidates that the catalogue lacks.")


class ErrorDetail(BaseModel):
    """What was wrong, where, and what was expected."""

    code: str
    field: str
    value: Any
    expected: str
    message: str
    request_id: str | None = Field(None, description="As in the header X-Request-Id.")
    current: WeightsRecord | None = Field(None, description="On a conflict: what is there.")


class ErrorBody(BaseModel):
    """The body of every 4xx and 5xx."""

    error: ErrorDetail


_REFUSAL = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route documents of its refusals.

    By reference to the model that /readyz brings into the document: FastAPI builds a model anew
    for each status of each route, a twentieth of a start.
    """
    return dict.fromkeys(statuses, _REFUSAL)
