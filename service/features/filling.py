"""A table of users → the feature store.

Decisions
- All is checked before anything is written, by the encoder that serves: a wrong value refuses the
  file, by its row.
- Written are the features that the bundle reads, of a sequence its newest values, as many as it
  reads. A null is written too: the feature is missing from then on. What else is kept of a user
  stays, and so do users that the table lacks.
- The same load again changes nothing, so one that was cut off is repeated whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import redis

from bundle.features import CategorySequence, FeatureError
from bundle.schema import FeatureSchema
from service.features.layout import USER, connect, id_of, key_of

BATCH_ROWS = 1000  # also the users of one pipeline

Columns = dict[str, list[Any]]
Advance = Callable[[int], object]


class FillError(ValueError):
    """A table that cannot be loaded: its file, the place in it, what was expected."""


@dataclass(frozen=True)
class UserTable:
    """A parquet file of users, one a row, and the features of the bundle that it has."""

    path: Path
    schema: FeatureSchema
    features: Sequence[str]
    left_out: Sequence[str]  # columns that the bundle does not read
    rows: int

    def batches(self) -> Iterator[tuple[int, list[str], Columns]]:
        """First row, user ids and columns. Raises FillError for the first wrong value."""
        start = 0
        names = ["user_id", *self.features]
        for batch in pq.ParquetFile(self.path).iter_batches(BATCH_ROWS, columns=names):
            columns = batch.to_pydict()
            users = self._users(columns.pop("user_id"), start)
            try:
                self.schema.encode_user(columns, batch.num_rows)
            except FeatureError as error:
                raise self._wrong(
                    start + error.row, error.feature, error.value, error.expected
                ) from None
            yield start, users, self._newest(columns)
            start += batch.num_rows

    def _users(self, values: Sequence[object], start: int) -> list[str]:
        users = []
        for row, value in enumerate(values, start):
            user_id = id_of({"user_id": value})
            if user_id is None:
                raise self._wrong(row, "user_id", value, "a text or an integer")
            users.append(user_id)
        return users

    def _newest(self, columns: Columns) -> Columns:
        for feature in self.schema.user:
            if isinstance(feature, CategorySequence) and feature.name in columns:
                lists = columns[feature.name]
                columns[feature.name] = [each and each[-feature.max_length :] for each in lists]
        return columns

    def _wrong(self, row: int, column: str, value: object, expected: str) -> FillError:
        return FillError(
            f"{self.path}: row {row}: {column}: expected {expected}, got {value!r:.80}"
        )


def open_users(path: Path, schema: FeatureSchema) -> UserTable:
    """A table of users whose features these are. Raises FillError."""
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise FillError(f"{path}: {reason}; expected a parquet file of users") from None
    columns = file.schema_arrow.names
    read = [feature.name for feature in schema.user if feature.name != "user_id"]
    found = [name for name in read if name in columns]
    if "user_id" not in columns or not found:
        raise FillError(
            f"{path}: expected the column user_id and some of {read}, which the bundle reads,"
            f" got the columns {columns}"
        )
    left_out = sorted({*columns} - {*found, "user_id"})
    return UserTable(path, schema, found, left_out, file.metadata.num_rows)


def check(table: UserTable, advance: Advance) -> None:
    """Read all of the table. Raises FillError for the first wrong value."""
    for _, users, _ in table.batches():
        advance(len(users))


def fill(table: UserTable, url: str, advance: Advance) -> None:
    """Write the users of a table. Raises FillError, FeaturesUrlError, RedisError."""
    with connect(url) as store, store.pipeline(transaction=False) as pipeline:
        for start, users, columns in table.batches():
            for row, user_id in enumerate(users):
                values: dict[Any, Any] = {
                    name: orjson.dumps(columns[name][row]) for name in table.features
                }
                pipeline.hset(key_of(USER, user_id), mapping=values)
            try:
                pipeline.execute()
            except redis.RedisError as error:
                done = f"{start} of {table.rows} users are written, load the file again"
                raise redis.RedisError(f"{error}; {done}") from None
            advance(len(users))
