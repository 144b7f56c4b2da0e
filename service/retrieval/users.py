"""Users as the towers see them: raw features → encode → user tower.

Any number of users is one call of the tower. Each is encoded alone, so that what was unknown, or
wrong, is known of each.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    seconds: dict[str, float]  # encode, tower: this user's part of both


def embed(snapshot: Snapshot, records: Sequence[Record]) -> list[User]:
    """Users of raw features. Raises FeatureError for a wrong value; its row is the user's place."""
    began = time.perf_counter()
    encoded = [_encode(snapshot, place, record) for place, record in enumerate(records)]
    read = time.perf_counter()
    vectors_BM = snapshot.tower.embed(_together([one.arrays for one in encoded]))
    embedded = time.perf_counter()
    share = 1 / len(records)
    seconds = {"encode": (read - began) * share, "tower": (embedded - read) * share}
    return [
        User(
            vectors_BM[place : place + 1],
            _unknown_features(snapshot, record),
            one.unknown,
            seconds,
        )
        for place, (record, one) in enumerate(zip(records, encoded, strict=True))
    ]


def _together(arrays: Sequence[Arrays]) -> Arrays:
    """Tower inputs of all users; one user's are not copied."""
    first, *others = arrays
    if not others:
        return first
    return {name: np.concatenate([one[name] for one in arrays]) for name in first}


def _encode(snapshot: Snapshot, place: int, record: Record) -> EncodedFeatures:
    columns = {name: [record[name]] for name in snapshot.user_features & record.keys()}
    try:
        return snapshot.schema.encode_user(columns, rows=1)
    except FeatureError as error:
        raise FeatureError(error.feature, place, error.value, error.expected) from None


def _unknown_features(snapshot: Snapshot, record: Record) -> list[str]:
    """`user_id` names the user also where the towers do not read it."""
    unknown = record.keys() - snapshot.user_features - {"user_id"}
    return sorted(name.encode("utf-8", "replace").decode() for name in unknown)
