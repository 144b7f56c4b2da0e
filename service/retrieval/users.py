"""Users as the towers see them: raw features → encode → user tower.

Any number of users is one call of the tower. Each is encoded alone, so that what was unknown, or
wrong, is known of each.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.features import EncodedFeatures, FeatureError
from service.snapshots.snapshot import Snapshot

Record = Mapping[str, object]


@dataclass(frozen=True)
class User:
    """One user's vector, and what was unknown about them."""

    vector_1M: NDArray[np.float32]
    unknown_features: list[str]  # names that the towers do not read
    unknown_categories: dict[str, int]  # feature → values outside its vocabulary
    seconds: dict[str, float]  # encode, tower: this user's part of both


def embed(snapshot: Snapshot, records: Sequence[Record]) -> list[User]:
    """Users of raw features. Raises FeatureError for a wrong value; its row is the user's place."""
    clock = [time.perf_counter()]
    encoded = [_encode(snapshot, place, record) for place, record in enumerate(records)]
    clock.append(time.perf_counter())
    names = encoded[0].arrays
    vectors_BM = snapshot.tower.embed(
        {name: np.concatenate([one.arrays[name] for one in encoded]) for name in names}
    )
    clock.append(time.perf_counter())
    parts = (np.diff(clock) / len(records)).tolist()
    return [
        User(
            vectors_BM[place : place + 1],
            _unknown_features(snapshot, record),
            one.unknown,
            dict(zip(("encode", "tower"), parts, strict=True)),
        )
        for place, (record, one) in enumerate(zip(records, encoded, strict=True))
    ]


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
