"""One version of one scenario's weights, as stored, served and shown to operators.

Decisions
- A record is never edited: a change, also a rollback, is a new record with the next version.
- Version 0 is the bundle's own default; it is never stored, so stored versions count from 1.
- The JSON form of a record is the same in every store, in the HTTP API and in the local fallback.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

DEFAULT_SCENARIO = "default"
LARGEST_VERSION = 2**53 - 1  # every store and every reader of JSON holds it exactly

ScenarioName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$"),
    Field(description="Lower-case letters, digits, `_`, `.` and `-`; at most 64."),
]
ONE_LINE = r"^[^\x00-\x1f\x7f]+$"
Author = Annotated[str, StringConstraints(strip_whitespace=True, pattern=ONE_LINE, max_length=100)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, pattern=ONE_LINE, max_length=500)]


class WeightsRecord(BaseModel):
    """Weights of a scenario at a version: who set them, when and why."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    scenario: ScenarioName
    version: Annotated[int, Field(ge=0)]
    weights: dict[str, float]
    author: Author
    reason: Reason
    time: datetime

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
