"""A log as tensors: features encoded once, positives of each stage as pairs of rows.

Decisions
- Features are encoded once; a batch only gathers rows (see `training.encoding` for the schema).
- Positives are kept in time order, so "the most recent" is the end of an array.
- All items of the log are encoded, since a cold item may still be an unexposed candidate.
- Beside its positives a stage has what their requests held that did not come as far: unexposed
  candidates for exposures, those and unclicked exposures for clicks, and so on.

Dimension letters: R requests, N items, P positives of a stage, C candidates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundle.schema import FeatureSchema
from training.encoding import encode_items, encode_requests, fit_schema
from training.logs.reader import Log

Rows = NDArray[np.int64]
LOG_FILES = ("log.yaml", "requests.parquet", "events.parquet", "items.parquet", "users.parquet")


@dataclass(frozen=True)
class Candidates:
    """Items by request: those of r are `item_C[start_R[r]:][:count_R[r]]`."""

    start_R: Rows
    count_R: Rows
    item_C: Rows


@dataclass(frozen=True)
class Positives:
    """One stage's positives, oldest first."""

    request_P: Rows
    item_P: Rows
    share_N: Tensor  # of the stage's positives, per item, smoothed by half a positive
    below: Candidates  # logged in the same requests, but not positive at this stage

    def __len__(self) -> int:
        return len(self.request_P)


@dataclass(frozen=True)
class TrainingData:
    """The training part of a log, encoded."""

    schema: FeatureSchema
    stages: tuple[str, ...]
    requests: dict[str, Tensor]
    items: dict[str, Tensor]
    positives: tuple[Positives, ...]


def log_fingerprint(directory: Path) -> str:
    """sha256 of the bytes of all files that make up a log."""
    digest = hashlib.sha256()
    for name in LOG_FILES:
        path = directory / name
        if path.exists():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        digest.update(name.encode())
    return digest.hexdigest()


def build_training_data(log: Log, min_count: int) -> TrainingData:
    """Fit the schema on `log`, the training part, and encode all of it."""
    schema = fit_schema(log, min_count)
    requests, items = encode_requests(log, schema), encode_items(log, schema)
    events = _with_rows(log)
    return TrainingData(
        schema=schema,
        stages=log.spec.stages,
        requests={name: _tensor(array) for name, array in requests.arrays.items()},
        items={name: _tensor(array) for name, array in items.arrays.items()},
        positives=tuple(
            _positives(events, column, len(log.items), len(log.requests))
            for column in log.spec.stage_columns
        ),
    )


def union(parts: Sequence[tuple[Positives, int]]) -> Positives:
    """The positives of several stages as one set, each part so many times; not in time order.

    What is below is what is below the first part.
    """
    item_P = np.concatenate([np.tile(part.item_P, times) for part, times in parts])
    request_P = np.concatenate([np.tile(part.request_P, times) for part, times in parts])
    first = parts[0][0]
    return Positives(request_P, item_P, _shares(item_P, len(first.share_N)), first.below)


def _with_rows(log: Log) -> pl.DataFrame:
    """Events with the rows of their request and item, oldest first, ties by row."""
    requests = log.requests.select("request_id", "ts").with_row_index("request")
    items = log.items.select("item_id").with_row_index("item")
    return (
        log.events.join(requests, on="request_id")
        .join(items, on="item_id")
        .sort("ts", "request", "item")
        .with_columns(pl.col("request", "item").cast(pl.Int64))
    )


def _positives(events: pl.DataFrame, column: str, items: int, requests: int) -> Positives:
    chosen = events.filter(column)
    item_P = chosen["item"].to_numpy()
    below = _by_request(events.filter(~pl.col(column)), requests)
    return Positives(chosen["request"].to_numpy(), item_P, _shares(item_P, items), below)


def _shares(item_P: Rows, items: int) -> Tensor:
    counts_N = np.bincount(item_P, minlength=items) + 0.5
    return torch.tensor(counts_N / counts_N.sum(), dtype=torch.float32)


def _by_request(events: pl.DataFrame, requests: int) -> Candidates:
    chosen = events.sort("request", "item")
    count_R = np.bincount(chosen["request"].to_numpy(), minlength=requests)
    start_R = np.cumsum(count_R) - count_R
    return Candidates(start_R, count_R, chosen["item"].to_numpy())


def _tensor(array: NDArray[Any]) -> Tensor:
    """A copy in torch's own, aligned memory."""
    return torch.from_numpy(array).clone()
