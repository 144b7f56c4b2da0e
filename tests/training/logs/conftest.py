"""A sound little log that each test spoils in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from training.logs.errors import LogError
from training.logs.reader import read_log

VECTOR = pl.List(pl.Float64)


def _spec() -> dict[str, Any]:
    return {
        "version": 1,
        "name": "little",
        "cascade": [
            {"stage": "exposure", "column": "exposed"},
            {"stage": "click", "column": "clicked"},
            {"stage": "conversion", "column": "converted"},
        ],
        "features": {
            "user": [
                {"name": "hour", "type": "categorical"},
                {"name": "seen", "type": "sequence", "vocabulary": "item_id", "max_length": 3},
                {"name": "age", "type": "numeric", "table": "users"},
            ],
            "item": [
                {"name": "item_id", "type": "categorical"},
                {"name": "price", "type": "numeric"},
                {"name": "content", "type": "vector", "dim": 2},
            ],
        },
    }


def _tables() -> dict[str, pl.DataFrame]:
    return {
        "requests": pl.DataFrame(
            {
                "request_id": ["r0", "r1", "r2"],
                "user_id": ["u0", "u1", "u0"],
                "ts": [1000, 2000, 3000],
                "hour": [1, 2, None],
                "seen": [[], ["i0"], ["i0", "i1"]],
            },
            schema_overrides={"seen": pl.List(pl.String)},
        ),
        "events": pl.DataFrame(
            {
                "request_id": ["r0", "r0", "r1", "r2"],
                "item_id": ["i0", "i1", "i0", "i2"],
                "position": [0, -1, 0, 0],
                "exposed": [True, False, True, True],
                "clicked": [True, False, False, True],
                "converted": [False, False, False, True],
            }
        ),
        "items": pl.DataFrame(
            {
                "item_id": ["i0", "i1", "i2"],
                "price": [1.0, None, 3.0],
                "content": [[0.1, 0.2], None, [0.5, 0.6]],
            }
        ),
        "users": pl.DataFrame({"user_id": ["u0", "u1"], "age": [30, None]}),
    }


@dataclass
class LittleLog:
    """Tables and log.yaml in the making."""

    directory: Path
    spec: dict[str, Any] = field(default_factory=_spec)
    tables: dict[str, pl.DataFrame] = field(default_factory=_tables)

    def set(self, table: str, **columns: pl.Expr | pl.Series) -> LittleLog:
        """Replaces columns."""
        self.tables[table] = self.tables[table].with_columns(**columns)
        return self

    def add(self, table: str, **row: Any) -> LittleLog:
        """Appends a row like the last, except for the values given."""
        last = self.tables[table].tail(1)
        new = last.with_columns(
            pl.Series(name, [value], dtype=last[name].dtype) for name, value in row.items()
        )
        self.tables[table] = pl.concat([self.tables[table], new])
        return self

    def write(self) -> Path:
        """The log directory, as another program may have written it."""
        self.directory.mkdir()
        self.directory.joinpath("log.yaml").write_text(yaml.safe_dump(self.spec))
        for name, frame in self.tables.items():
            frame.write_parquet(self.directory / f"{name}.parquet")
        return self.directory


@pytest.fixture
def little(tmp_path: Path) -> LittleLog:
    return LittleLog(tmp_path / "log")


@pytest.fixture
def refused() -> Callable[..., None]:
    """Checks that reading fails with an error that names file, column and row, and a remedy."""

    def check(
        log: LittleLog | Path, file: str, column: str | None, row: int | None, *words: str
    ) -> None:
        directory = log if isinstance(log, Path) else log.write()
        with pytest.raises(LogError) as caught:
            read_log(directory)
        error = caught.value
        assert Path(error.file).name == file
        assert error.column == column
        assert error.row == row
        assert len(error.remedy) > 5
        for word in words:
            assert word in str(error)

    return check
