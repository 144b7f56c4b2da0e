"""Raw items and users → vectors, through the bundle's own encoder and towers.

Decisions
- Vectors are written straight into a memory-mapped .npy, one batch at a time, at the row that the
  item's id has in byte order: memory is bounded by the batches at work, whatever the catalogue's
  size.
- One thread reads and encodes ahead while the tower works in as many threads as there are cores to
  use, a batch each, in pieces that fit the cache: the tower never waits for the table.
- A build notes how far it came every CHECKPOINT_S seconds, once that much is safe on disk, and goes
  on from there after a kill; see unfinished.py.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
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
from index_builder.unfinished import Stretch, Unfinished

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
    for rows_B, counts in _encode_onto(items_NM, bundle, catalogue, 0):
        unknown.update(counts)
        progress.advance(len(rows_B))
    return _reopened(path), unknown


def encode_unfinished(
    bundle: Bundle, catalogue: Catalogue, kept: Unfinished, progress: Progress
) -> tuple[Floats, Counter[str]]:
    """The same, to `kept.vectors`, going on where a killed build of the same stopped."""
    shape = (len(catalogue), bundle.segments.dim)
    items_NM, done = kept.open_vectors(shape, catalogue.rank_N)
    progress.advance(done)
    stretch, since = _Stretch(), time.monotonic()
    for rows_B, counts in _encode_onto(items_NM, bundle, catalogue, done):
        stretch.add(items_NM[rows_B], counts)
        progress.advance(len(rows_B))
        if time.monotonic() - since >= CHECKPOINT_S:
            stretch, since = stretch.noted(items_NM, kept), time.monotonic()
    return _reopened(kept.vectors), kept.unknown() + stretch.unknown


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


class _Stretch:
    """Batches written since the last note."""

    def __init__(self) -> None:
        self.rows, self.unknown = 0, Counter[str]()
        self._digest = hashlib.sha256()

    def add(self, vectors_BM: Floats, unknown: Mapping[str, int]) -> None:
        """Another batch."""
        self.rows += len(vectors_BM)
        self._digest.update(vectors_BM.data)
        self.unknown.update(unknown)

    def noted(self, items_NM: Floats, kept: Unfinished) -> _Stretch:
        """Note it once it is on disk; the next one."""
        assert isinstance(items_NM, np.memmap)  # noqa: S101
        items_NM.flush()
        digest, unknown = self._digest.hexdigest(), dict(self.unknown)
        kept.record.stretches.append(Stretch(rows=self.rows, sha256=digest, unknown=unknown))
        kept.save()
        return _Stretch()


def _encode_onto(
    items_NM: Floats, bundle: Bundle, catalogue: Catalogue, done: int
) -> Iterator[tuple[Rows, Mapping[str, int]]]:
    """Write the vectors of each batch to their rows, but for the first `done` of the table.

    Yields the rows written and the unknown values in them, in the order of the table.
    """
    tower, threads = open_item_tower(bundle), faiss.omp_get_max_threads()
    at_work: deque[tuple[Rows, Mapping[str, int], Future[None]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="tower") as pool:
        for rows_B, batch in catalogue.batches(done):
            columns = feature_columns(batch, bundle.schema.item)
            try:
                encoded = bundle.schema.encode_item(columns, len(rows_B))
            except FeatureError as error:
                place = _item(catalogue, rows_B[error.row])
                raise _bad_value(catalogue.path.name, place, error) from None
            written = pool.submit(_write, tower, encoded.arrays, items_NM, rows_B, catalogue)
            at_work.append((rows_B, encoded.unknown, written))
            if len(at_work) > threads:  # one is ready for whoever ends first
                yield _ended(at_work)
        while at_work:
            yield _ended(at_work)


def _ended(
    at_work: deque[tuple[Rows, Mapping[str, int], Future[None]]],
) -> tuple[Rows, Mapping[str, int]]:
    """The oldest batch, once it is written. Raises what its thread raised."""
    rows_B, unknown, written = at_work.popleft()
    written.result()
    return rows_B, unknown


def _write(
    tower: Tower,
    arrays: Mapping[str, NDArray[Any]],
    items_NM: Floats,
    rows_B: Rows,
    catalogue: Catalogue,
) -> None:
    for start in range(0, len(rows_B), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        vectors_BM = tower.embed({name: array[part] for name, array in arrays.items()})
        if not np.isfinite(vectors_BM).all():
            row = int(np.flatnonzero(~np.isfinite(vectors_BM).all(axis=1))[0])
            raise InputError(
                "item_tower.onnx",
                _item(catalogue, rows_B[part][row]),
                found="a vector that is not finite",
                remedy="the tower is broken: train and export again",
            )
        items_NM[rows_B[part]] = vectors_BM


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
