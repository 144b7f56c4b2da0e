"""Raw items and users → vectors, through the bundle's own encoder and towers.

Vectors are written straight into a memory-mapped .npy, one batch at a time, at the row that the
item's id has in byte order: memory is bounded by the batch, whatever the catalogue's size.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.features import FeatureError
from bundle.store import Bundle
from bundle.towers import open_item_tower, open_user_tower
from index_builder.errors import InputError
from index_builder.progress import Progress
from index_builder.tables import REQUESTS, USERS, Catalogue, Record, as_columns

Floats = NDArray[np.float32]


def encode_items(
    bundle: Bundle, catalogue: Catalogue, path: Path, progress: Progress
) -> tuple[Floats, Counter[str]]:
    """Write the vectors of all items to `path` (.npy, float32 [N, M]).

    Returns the read-only map of it, and per feature the values that training never saw.
    Raises InputError for a value that cannot be encoded or a vector that is not finite.
    """
    tower = open_item_tower(bundle)
    shape = (len(catalogue), bundle.segments.dim)
    items_NM = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    unknown: Counter[str] = Counter()
    for rows_B, columns in catalogue.batches():
        try:
            encoded = bundle.schema.encode_item(columns, len(rows_B))
        except FeatureError as error:
            raise _bad_value(
                catalogue.path.name, _item(catalogue, rows_B[error.row]), error
            ) from None
        unknown.update(encoded.unknown)
        vectors_BM = tower.embed(encoded.arrays)
        _refuse_non_finite(vectors_BM, rows_B, catalogue)
        items_NM[rows_B] = vectors_BM
        progress.advance(len(rows_B))
    items_NM.flush()
    del items_NM
    return np.load(path, mmap_mode="r"), unknown


def encode_users(bundle: Bundle, records: list[Record]) -> Floats:
    """Unscaled vectors [B, M] of raw user records. Raises InputError."""
    columns = as_columns(records, (feature.name for feature in bundle.schema.user))
    try:
        encoded = bundle.schema.encode_user(columns, len(records))
    except FeatureError as error:
        raise _bad_value(
            f"{REQUESTS} or {USERS}", f"record {records[error.row]!r:.200}", error
        ) from None
    users_BM = open_user_tower(bundle).embed(encoded.arrays)
    if not np.isfinite(users_BM).all():
        row = int(np.flatnonzero(~np.isfinite(users_BM).all(axis=1))[0])
        raise InputError(
            "user_tower.onnx",
            f"record {records[row]!r:.200}",
            found="a vector that is not finite",
            remedy="the tower is broken: train and export again",
        )
    return users_BM


def _refuse_non_finite(vectors_BM: Floats, rows_B: NDArray[np.int64], catalogue: Catalogue) -> None:
    bad = np.flatnonzero(~np.isfinite(vectors_BM).all(axis=1))
    if len(bad):
        raise InputError(
            "item_tower.onnx",
            _item(catalogue, rows_B[bad[0]]),
            found="a vector that is not finite",
            remedy="the tower is broken: train and export again",
        )


def _item(catalogue: Catalogue, row: int) -> str:
    return f"item {catalogue.ids_N[row].decode()!r}"


def _bad_value(file: str, place: str, error: FeatureError) -> InputError:
    shown = " ".join(repr(error.value).split())  # an array's repr has several lines
    return InputError(
        file,
        f"column {error.feature!r}, {place}",
        found=f"{shown:.80} where {error.expected} is expected",
        remedy="correct the value, or leave it empty: missing values are served",
    )
