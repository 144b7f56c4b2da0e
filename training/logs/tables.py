"""Opens the tables of a log lazily and holds their columns against log.yaml.

Decisions
- Only the parquet footers are read here, so opening a log of any size is instant.
- Types are strict where a silent cast could change meaning (ids, times, stages) and lenient where
  it cannot: integers are categories or numbers as declared, float widths are free.
- Every frame is normalised: categories and ids are String, sequences List(String), numbers Float64,
  vectors Float32 lists (arrays once their length is checked), positions Int32.

Use: ``tables = open_tables(directory)``; ``tables.events`` is a LazyFrame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from training.logs.errors import LogError
from training.logs.spec import EVENT_KEYS, FeatureDeclaration, LogSpec, load_spec


@dataclass(frozen=True)
class Tables:
    """A log whose columns are right and whose rows are not read yet."""

    directory: Path
    spec: LogSpec
    requests: pl.LazyFrame
    events: pl.LazyFrame
    items: pl.LazyFrame
    users: pl.LazyFrame | None
    undeclared: tuple[tuple[str, str], ...]  # (file, column) present but not in log.yaml

    def present(self) -> dict[str, pl.LazyFrame]:
        """File name → frame, for the tables that exist."""
        frames = {
            "requests": self.requests,
            "events": self.events,
            "items": self.items,
            "users": self.users,
        }
        return {f"{name}.parquet": frame for name, frame in frames.items() if frame is not None}

    def features_of(self, file: str) -> list[FeatureDeclaration]:
        """The features declared in one table."""
        features = self.spec.features
        return [f for f in (*features.user, *features.item) if f"{f.table}.parquet" == file]


def open_tables(directory: Path) -> Tables:
    """Reads log.yaml and the tables' schemas; raises LogError on a missing column or wrong type."""
    spec = load_spec(directory)
    features = (*spec.features.user, *spec.features.item)
    stages = dict.fromkeys(spec.stage_columns, "stage")
    fixed = {
        "requests": {"request_id": "id", "user_id": "id", "ts": "time"},
        "events": dict(zip(EVENT_KEYS, ("id", "id", "position"), strict=True)) | stages,
        "items": {"item_id": "id"},
        "users": {"user_id": "id"},
    }
    wants_users = any(feature.table == "users" for feature in features)
    if not wants_users and not (directory / "users.parquet").exists():
        del fixed["users"]
    frames: dict[str, pl.LazyFrame] = {}
    undeclared: list[tuple[str, str]] = []
    for table, keys in fixed.items():
        declared = {f.name: f.type for f in features if f.table == table and f.name not in keys}
        path = directory / f"{table}.parquet"
        frame = _open_parquet(path)
        schema = frame.collect_schema()
        columns = {**keys, **declared}
        frames[table] = frame.select(
            normalised(path.name, schema, name, kind) for name, kind in columns.items()
        )
        undeclared += [(path.name, name) for name in schema.names() if name not in columns]
    users = frames.pop("users", None)
    return Tables(directory, spec, **frames, users=users, undeclared=tuple(undeclared))


def _open_parquet(path: Path) -> pl.LazyFrame:
    try:
        frame = pl.scan_parquet(path, glob=False)
        frame.collect_schema()
    except FileNotFoundError:
        raise LogError(
            path.name, None, None, f"the file does not exist in {path.parent}", "Write the table"
        ) from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path.name, error) from error
    return frame


def unreadable(file: str, error: Exception) -> LogError:
    """The error for a parquet file that is cut short or damaged."""
    reason = str(error).splitlines()[0]
    return LogError(
        file,
        None,
        None,
        f"not a complete parquet file ({reason})",
        "The writer probably stopped half-way: write the file again",
    )


# kind of column → (accepted polars types in words, what they become)
EXPECTED = {
    "id": "String",
    "time": "Int64 (Unix milliseconds, UTC)",
    "position": "an integer (-1 where unknown)",
    "stage": "Boolean",
    "categorical": "String, an integer or Boolean",
    "numeric": "a float or an integer",
    "sequence": "List of String or of integers",
    "vector": "List or Array of floats",
}


def normalised(file: str, schema: pl.Schema, name: str, kind: str) -> pl.Expr:
    """The expression that reads one column as its kind, or LogError if it cannot."""
    if name not in schema:
        present = ", ".join(schema.names())
        raise LogError(
            file,
            name,
            None,
            f"the column is missing (present: {present})",
            "Add it or correct log.yaml",
        )
    found = schema[name]
    target = _target(kind, found)
    if target is None:
        remedy = f"Cast the column to {EXPECTED[kind]}"
        raise LogError(file, name, None, f"its type is {found}, expected {EXPECTED[kind]}", remedy)
    return pl.col(name).cast(target)


def _target(kind: str, found: pl.DataType) -> pl.DataType | None:
    """What a column of this kind and type is read as; None where the type is wrong."""
    inner = getattr(found, "inner", None)
    text = isinstance(found, pl.String | pl.Categorical | pl.Enum)
    accepted: dict[str, tuple[bool, pl.DataType]] = {
        "id": (found == pl.String, pl.String()),
        "time": (found == pl.Int64, pl.Int64()),
        "position": (found.is_integer(), pl.Int32()),
        "stage": (found == pl.Boolean, pl.Boolean()),
        "categorical": (text or found.is_integer() or found == pl.Boolean, pl.String()),
        "numeric": (found.is_float() or found.is_integer(), pl.Float64()),
        "sequence": (
            isinstance(found, pl.List)
            and inner is not None
            and (inner == pl.String or inner.is_integer()),
            pl.List(pl.String()),
        ),
        "vector": (
            isinstance(found, pl.List | pl.Array) and inner is not None and inner.is_float(),
            pl.List(pl.Float32()),
        ),
    }
    fits, target = accepted[kind]
    return target if fits else None


def collected(frames: Iterable[tuple[str, pl.LazyFrame]]) -> dict[str, pl.DataFrame]:
    """Reads frames whole; a damaged page is reported as a half-written file."""
    result = {}
    for file, frame in frames:
        try:
            result[file] = frame.collect()
        except pl.exceptions.PolarsError as error:
            raise unreadable(file, error) from error
    return result
