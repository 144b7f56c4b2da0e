"""Users as the towers see them: raw features → encode → user tower.

Any number of users is one call of the tower. Each is encoded alone, so that what was unknown, or
wrong, is known of each. A wrong value of the request refuses it; a stored one is left out, since
the caller can do nothing about it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.features import EncodedFeatures, FeatureError
from service.snapshots.snapshot import Snapshot

Record = Mapping[str, object]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class User:
    """One user's vector, and what was unknown about them."""

    vector_1M: NDArray[np.float32]
    unknown_features: list[str]  # names that the towers do not read
    unknown_categories: dict[str, int]  # feature → values outside its vocabulary
    unreadable: list[str]  # features whose stored value is not what the towers read
    seconds: dict[str, float]  # encode, tower: this user's part of both


@dataclass(frozen=True)
class RawUser:
    """Features as they came with a request, and what a store adds where they are missing."""

    given: Record
    stored: Record = field(default_factory=dict)


def embed(snapshot: Snapshot, users: Sequence[RawUser]) -> list[User]:
    """Users of raw features. Raises FeatureError for a wrong value; its row is the user's place."""
    began = time.perf_counter()
    encoded = [_encode(snapshot, place, user) for place, user in enumerate(users)]
    read = time.perf_counter()
    vectors_BM = snapshot.tower.embed(_together([one.arrays for one, _ in encoded]))
    embedded = time.perf_counter()
    share = 1 / len(users)
    seconds = {"encode": (read - began) * share, "tower": (embedded - read) * share}
    return [
        User(
            vectors_BM[place : place + 1],
            _unknown_features(snapshot, user.given),
            one.unknown,
            unreadable,
            seconds,
        )
        for place, (user, (one, unreadable)) in enumerate(zip(users, encoded, strict=True))
    ]


def _together(arrays: Sequence[Arrays]) -> Arrays:
    """Tower inputs of all users; one user's are not copied."""
    first, *others = arrays
    if not others:
        return first
    return {name: np.concatenate([one[name] for one in arrays]) for name in first}


def _encode(snapshot: Snapshot, place: int, user: RawUser) -> tuple[EncodedFeatures, list[str]]:
    """One user's tower inputs, and the stored features that had to be left out."""
    columns = {name: [user.given[name]] for name in snapshot.user_features & user.given.keys()}
    stored = {name: [value] for name, value in user.stored.items() if user.given.get(name) is None}
    unreadable: list[str] = []
    while True:
        try:
            return snapshot.schema.encode_user({**columns, **stored}, rows=1), unreadable
        except FeatureError as error:
            if stored.pop(error.feature, None) is None:
                raise FeatureError(error.feature, place, error.value, error.expected) from None
            unreadable.append(error.feature)


def _unknown_features(snapshot: Snapshot, record: Record) -> list[str]:
    """`user_id` names the user also where the towers do not read it."""
    unknown = record.keys() - snapshot.user_features - {"user_id"}
    return sorted(name.encode("utf-8", "replace").decode() for name in unknown)
