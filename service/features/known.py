"""What a request knows of its users beyond what it brought, whether or not there is a store.

Who only answers needs no more than this: the client library of Redis is a tenth of a start, and is
read where a store is set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Record = Mapping[str, object]
Origin = Literal["stored", "inline", "unknown", "unavailable"]


class FeaturesUrlError(ValueError):
    """CSMF_FEATURES_URL cannot be read."""

    def __init__(self) -> None:  # the URL may hold a password
        super().__init__(
            "CSMF_FEATURES_URL: expected redis://host:6379/0, rediss://user:password@host:6379/0 or"
            " unix:///path, with special characters of the password percent-encoded"
        )


@dataclass(frozen=True)
class Known:
    """What the store holds of one user."""

    origin: Origin | None = None  # None: there is no store
    values: Record = field(default_factory=dict)
    seen: Sequence[str] | None = ()  # newest first; None: wanted, and not to be had


@dataclass(frozen=True)
class LookedUp:
    """What is known of the users of one request, in their order, and how long it took."""

    users: Sequence[Known]
    seconds: dict[str, float]


def without_store(users: int) -> LookedUp:
    """Nothing is known of these users, and nothing was asked."""
    return LookedUp([Known()] * users, {})
