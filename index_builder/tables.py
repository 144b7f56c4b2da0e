"""The tables of a log, read in record batches: the catalogue, and users to calibrate with.

- Only the columns that the bundle's towers read are read; `log.yaml` is not needed.
- Memory holds the item ids and one batch, never the features of the whole catalogue.
- Users are requests drawn at random, so calibration sees the traffic that the log saw. A column
  found in both `requests` and `users` is taken from `requests`, which is nearer to the query.

    catalogue = open_items(Path("log/items.parquet"), ["brand", "price"])
    for rows_B, batch in catalogue.batches(): ...      # rows of the id-sorted catalogue
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bundle.attributes import AttributeColumn
from bundle.schema import FeatureSchema
from index_builder.errors import InputError

BATCH_ROWS = 8192
LONGEST_ID = 512  # bytes; every id takes as much room as the longest
ITEMS, REQUESTS, USERS = "items.parquet", "requests.parquet", "users.parquet"
SAME_COLUMNS = (
    "the bundle's features.json asks for it: use a log with the columns of the one it was trained "
    "on"
)
Columns = dict[str, Any]
Record = dict[str, object]


@dataclass(frozen=True)
class Catalogue:
    """The items of a log. Row i of the index is the i-th id in byte order."""

    path: Path
    features: tuple[str, ...]
    ids_N: NDArray[np.bytes_]
    rank_N: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids_N)

    def in_row_order(self, column: AttributeColumn) -> AttributeColumn:
        """An attribute in the order of the file, in that of the index's rows."""
        values_N = np.empty_like(column.values_N)
        values_N[self.rank_N] = column.values_N
        return AttributeColumn(column.attribute, values_N)

    def batches(self, after: int = 0) -> Iterator[tuple[NDArray[np.int64], pa.RecordBatch]]:
        """Index rows [B] and the features of each batch after so many rows, in the file's order."""
        start = 0
        for batch in open_table(self.path).iter_batches(BATCH_ROWS, columns=list(self.features)):
            if start >= after:
                yield self.rank_N[start : start + batch.num_rows], batch
            start += batch.num_rows


def open_items(path: Path, features: Sequence[str]) -> Catalogue:
    """Read and check the ids of a table of items with these features. Raises InputError."""
    file = open_table(path)
    require_columns(file, path.name, ["item_id", *features])
    parts = [np.empty(0, "S1"), *_id_batches(file, path.name)]
    ids_N = np.concatenate(parts)
    if not len(ids_N):
        raise InputError(path.name, "", found="no items", remedy="it needs at least one")
    order_N = np.argsort(ids_N, kind="stable")
    _refuse_duplicates(ids_N, order_N, path.name)
    rank_N = np.empty(len(ids_N), np.int64)
    rank_N[order_N] = np.arange(len(ids_N))
    return Catalogue(path, tuple(features), ids_N[order_N], rank_N)


def sample_users(
    log: Path, schema: FeatureSchema, count: int, seed: int
) -> tuple[list[Record], list[str]]:
    """`count` raw user records drawn from the requests (all, if fewer), and their user ids.

    A record holds the user features present, as a client of the service would send them.
    """
    file = open_table(log / REQUESTS)
    require_columns(file, REQUESTS, ["user_id"])
    names = [feature.name for feature in schema.user]
    own = [name for name in names if name in file.schema_arrow.names]
    rows = _draw_rows(file.metadata.num_rows, count, seed)
    records = _take(file, rows, sorted({"user_id", *own}))
    user_ids = [_user_id(record["user_id"], row) for record, row in zip(records, rows, strict=True)]
    known = _user_features(log / USERS, [name for name in names if name not in own], user_ids)
    joined = [
        {**record, **known.get(user, {})} for record, user in zip(records, user_ids, strict=True)
    ]
    return [
        {name: record[name] for name in names if record.get(name) is not None} for record in joined
    ], user_ids


def as_columns(records: list[Record], names: Iterable[str]) -> Columns:
    """Records as one column per name; None where a record lacks it."""
    return {name: [record.get(name) for record in records] for name in names}


def open_table(path: Path) -> pq.ParquetFile:
    """A parquet file. Raises InputError."""
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise InputError(
            path.name,
            "",
            found=f"no such file in {path.parent}",
            remedy="check what --log or --changes names",
        ) from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            path.name,
            "",
            found=f"not a parquet file ({str(error).splitlines()[0][:120]})",
            remedy="it may be half-written: make it again",
        ) from None


def require_columns(
    file: pq.ParquetFile, name: str, columns: Sequence[str], remedy: str = SAME_COLUMNS
) -> None:
    """Refuse a table that lacks a column. Raises InputError."""
    present = file.schema_arrow.names
    for column in columns:
        if column not in present:
            raise InputError(
                name,
                f"column {column!r}",
                found=f"not among {present}",
                remedy=remedy,
            )


def _id_batches(file: pq.ParquetFile, name: str) -> Iterator[NDArray[np.bytes_]]:
    start = 0
    for batch in file.iter_batches(65_536, columns=["item_id"]):
        values = batch.column("item_id").to_pylist()
        ids = [_id_bytes(value, name, start + row) for row, value in enumerate(values)]
        yield np.array(ids, "S")
        start += len(values)


def _id_bytes(value: object, file: str, row: int) -> bytes:
    content = value.encode() if isinstance(value, str) else b""
    if not 0 < len(content) <= LONGEST_ID or b"\0" in content:
        raise InputError(
            file,
            f"column 'item_id', row {row}",
            found=f"{value!r:.80}",
            remedy=f"ids are non-empty strings of at most {LONGEST_ID} bytes without NUL "
            "characters: correct this row",
        )
    return content


def _refuse_duplicates(ids_N: NDArray[np.bytes_], order_N: NDArray[np.int64], file: str) -> None:
    sorted_N = ids_N[order_N]
    twice = np.flatnonzero(sorted_N[1:] == sorted_N[:-1])
    if len(twice):
        first, second = order_N[twice[0]], order_N[twice[0] + 1]
        raise InputError(
            file,
            f"column 'item_id', rows {first} and {second}",
            found=f"both hold {sorted_N[twice[0]].decode()!r} ({len(twice)} repeated ids in all)",
            remedy="keep one row per item",
        )


def _draw_rows(total: int, count: int, seed: int) -> NDArray[np.int64]:
    if total == 0:
        raise InputError(
            REQUESTS, "", found="no requests", remedy="recall is calibrated on at least one user"
        )
    chosen = np.random.default_rng(seed).choice(total, min(count, total), replace=False)
    return np.sort(chosen).astype(np.int64)


def _take(file: pq.ParquetFile, rows_B: NDArray[np.int64], columns: list[str]) -> list[Record]:
    records: list[Record] = []
    start = 0
    for batch in file.iter_batches(65_536, columns=columns):
        low, high = np.searchsorted(rows_B, [start, start + batch.num_rows])
        records += batch.take(pa.array(rows_B[low:high] - start)).to_pylist()
        start += batch.num_rows
    return records


def _user_id(value: object, row: int) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(
            REQUESTS,
            f"column 'user_id', row {row}",
            found=f"{value!r:.80}",
            remedy="user ids are non-empty strings: correct this row",
        )
    return value


def _user_features(path: Path, names: list[str], user_ids: list[str]) -> dict[str, Record]:
    if not names:
        return {}
    if not path.exists():
        raise InputError(
            REQUESTS,
            f"column {names[0]!r}",
            found=f"missing, and there is no {USERS}",
            remedy=SAME_COLUMNS,
        )
    file = open_table(path)
    require_columns(file, USERS, ["user_id", *names])
    wanted = pa.array(sorted(set(user_ids)))
    known: dict[str, Record] = {}
    for batch in file.iter_batches(65_536, columns=["user_id", *names]):
        rows = batch.filter(pc.is_in(batch.column("user_id").cast(pa.string()), wanted))
        known |= {str(row.pop("user_id")): row for row in rows.to_pylist()}
    return known
