"""Reads the published files of a data set, CSV or parquet, with errors that say what was expected.

Decision: only the columns asked for are read, each cast to the type asked for; a value that does
not fit is an error naming file, column and row. NaN in a published file means missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from training.logs.errors import LogError


def read_columns(
    path: Path, columns: Mapping[str, pl.DataType], layout: str, separator: str = ","
) -> pl.DataFrame:
    """The columns of one file; ``layout`` names the expected one in messages."""
    try:
        frame = _scan(path, separator)
        present = frame.collect_schema().names()
        _require(path, present, list(columns), layout)
        raw = frame.select(list(columns)).collect()
    except FileNotFoundError:
        raise LogError(
            str(path), None, None, "the file does not exist", f"Give a file of {layout}"
        ) from None
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise LogError(
            str(path), None, None, f"cannot be read ({reason})", f"Give a file of {layout}"
        ) from error
    if raw.is_empty():
        raise LogError(str(path), None, None, "the file has no rows", f"Give a file of {layout}")
    return raw.with_columns(_cast(path, raw[name], kind) for name, kind in columns.items())


def _scan(path: Path, separator: str) -> pl.LazyFrame:
    if not path.is_file():
        raise FileNotFoundError(path)
    if path.suffix == ".parquet":
        return pl.scan_parquet(path, glob=False)
    # Everything is read as text first: a bad value is then reported with its row.
    return pl.scan_csv(path, infer_schema=False, glob=False, separator=separator)


def _require(path: Path, present: Sequence[str], wanted: Sequence[str], layout: str) -> None:
    missing = [name for name in wanted if name not in present]
    if missing:
        raise LogError(
            str(path),
            missing[0],
            None,
            f"{len(missing)} columns of {layout} are missing (present: {', '.join(present[:8])} …)",
            "Give the file as published",
        )


def _cast(path: Path, column: pl.Series, kind: pl.DataType) -> pl.Series:
    cast = column.cast(kind, strict=False)
    bad = (cast.is_null() & column.is_not_null()).arg_true()
    if len(bad):
        row = bad[0]
        raise LogError(
            str(path), column.name, row, f"'{column[row]}' is not of type {kind}", "Correct the row"
        )
    return cast.fill_nan(None) if cast.dtype.is_float() else cast
