"""Raw items and users → vectors, through the bundle's own encoder and towers.

Decisions
- Vectors are written straight into a memory-mapped .npy, one batch at a time, at the row that the
  item's id has in byte order: memory is bounded by the batches at work, whatever the catalogue's
  size.
- One thread reads, encodes and writes while the tower works in as many threads as there are cores
  to use, a batch each, in pieces that fit the cache: the tower never waits for the table.
- A build notes how far it came every CHECKPOINT_S seconds, once that much is safe on disk, and goes
  on from there after a kill; see unfinished.py.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bundle.features import FeatureError
from bundle.store import Bundle
from bundle.towers import Tower, open_item_tower, open_user_tower
from index_builder.columns import feature_columns
from index_builder.errors import InputError
from index_builder.progress import Progress
from index_builder.tables import REQUESTS, USERS, Catalogue, Record, as_columns
from index_builder.unfinished import Unfinished

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
CHECKPOINT_S = 30.0
AT_ONCE = 1024  # items that the tower takes: what its layers hold stays in the cache


def encode_items(
    bundle: Bundle, catalogue: Catalogue, path: Path, progress: Progress
) -> tuple[Floats, Counter[str]]:
    """Write the vectors of all items to `path` (.npy, float32 [N, M]).

    Returns the read-only map of it, and per feature the values that training never saw.
    Raises InputError for a value that cannot be encoded or a vector that is not finite.
    """
    shape = (len(catalogue), bundle.segments.dim)
    items_NM: Floats = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    unknown: Counter[str] = Counter()
    for batch in _encoded(bundle, catalogue, 0):
        _write(batch, items_NM, catalogue)
        unknown.update(batch.unknown)
        progress.advance(len(batch.rows_B))
    return _reopened(path), unknown


def encode_unfinished(
    bundle: Bundle, catalogue: Catalogue, kept: Unfinished, progress: Progress
) -> tuple[Floats, Counter[str]]:
    """The same, to `kept.vectors`, going on where a killed build of the same stopped."""
    shape = (len(catalogue), bundle.segments.dim)
    items_NM, noted = kept.open_vectors(shape, catalogue.rank_N)
    progress.advance(noted)
    done, unknown, since = noted, Counter[str](), time.monotonic()
    for batch in _encoded(bundle, catalogue, noted):
        _write(batch, items_NM, catalogue)
        unknown.update(batch.unknown)
        progress.advance(len(batch.rows_B))
        done += len(batch.rows_B)
        if time.monotonic() - since >= CHECKPOINT_S:
            kept.note(items_NM, catalogue.rank_N[noted:done], unknown)
            noted, unknown, since = done, Counter[str](), time.monotonic()
    return _reopened(kept.vectors), kept.unknown() + unknown


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


@dataclass(frozen=True)
class _Batch:
    """Vectors of a batch, in pieces, and where they belong."""

    rows_B: Rows
    unknown: Mapping[str, int]
    pieces: Future[list[Floats]]


def _encoded(bundle: Bundle, catalogue: Catalogue, done: int) -> Iterator[_Batch]:
    """Batches in the order of the table, but for its first `done` rows."""
    tower, threads = open_item_tower(bundle), faiss.omp_get_max_threads()
    at_work: deque[_Batch] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="tower") as pool:
        for rows_B, batch in catalogue.batches(done):
            columns = feature_columns(batch, bundle.schema.item)
            try:
                encoded = bundle.schema.encode_item(columns, len(rows_B))
            except FeatureError as error:
                place = _item(catalogue, rows_B[error.row])
                raise _bad_value(catalogue.path.name, place, error) from None
            pieces = pool.submit(_embed, tower, encoded.arrays, len(rows_B))
            at_work.append(_Batch(rows_B, encoded.unknown, pieces))
            if len(at_work) > threads:  # one is ready for whoever ends first
                yield at_work.popleft()
        yield from at_work


def _embed(tower: Tower, arrays: Mapping[str, NDArray[Any]], rows: int) -> list[Floats]:
    return [
        tower.embed({name: array[start : start + AT_ONCE] for name, array in arrays.items()})
        for start in range(0, rows, AT_ONCE)
    ]


def _write(batch: _Batch, items_NM: Floats, catalogue: Catalogue) -> None:
    """Put vectors into their rows, once they are there. Raises InputError."""
    start = 0
    for vectors_BM in batch.pieces.result():
        rows_B = batch.rows_B[start : start + len(vectors_BM)]
        if not np.isfinite(vectors_BM).all():
            row = int(np.flatnonzero(~np.isfinite(vectors_BM).all(axis=1))[0])
            raise InputError(
                "item_tower.onnx",
                _item(catalogue, rows_B[row]),
                found="a vector that is not finite",
                remedy="the tower is broken: train and export again",
            )
        items_NM[rows_B] = vectors_BM
        start += len(vectors_BM)


def _reopened(path: Path) -> Floats:
    """Read-only. What is not on disk yet is synced with all else of the index."""
    mapped_NM: Floats = np.load(path, mmap_mode="r")
    return mapped_NM


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
