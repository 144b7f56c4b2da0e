"""A log as tensors: features encoded once, positives of each stage as pairs of rows.

Decisions
- The feature schema is fitted on the training part only, and item vocabularies on items exposed in
  it: a row of a table exists iff training has seen it. What is new later is `unknown`, at row 0,
  which training learns by hiding known categories (`sampling.unknown_rate`).
- A vocabulary is fitted by its categorical features. A sequence that shares it only reads it; a
  sequence with a vocabulary of its own fits that.
- All items of the log are encoded, since the whole catalogue is judged over.

Dimension letters: R requests, N items, P positives of a stage, C unexposed candidates.
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

from bundle.features import (
    Categorical,
    CategorySequence,
    EncodedFeatures,
    Feature,
    FeatureSchema,
    Numeric,
    Vector,
    build_vocabulary,
)
from training.logs.reader import Log
from training.logs.spec import FeatureDeclaration

Rows = NDArray[np.int64]
LOG_FILES = ("log.yaml", "requests.parquet", "events.parquet", "items.parquet", "users.parquet")


@dataclass(frozen=True)
class Positives:
    """One stage's positives, oldest first."""

    request_P: Rows
    item_P: Rows
    share_N: Tensor  # of the stage's positives, per item, smoothed by half a positive

    def __len__(self) -> int:
        return len(self.request_P)


@dataclass(frozen=True)
class Candidates:
    """Unexposed candidates by request: those of r are `item_C[start_R[r]:][:count_R[r]]`."""

    start_R: Rows
    count_R: Rows
    item_C: Rows


@dataclass(frozen=True)
class TrainingData:
    """The training part of a log, encoded."""

    schema: FeatureSchema
    stages: tuple[str, ...]
    requests: dict[str, Tensor]
    items: dict[str, Tensor]
    positives: tuple[Positives, ...]
    unexposed: Candidates


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
            _positives(events, column, len(log.items)) for column in log.spec.stage_columns
        ),
        unexposed=_unexposed(events, log.spec.stage_columns, len(log.requests)),
    )


def fit_schema(log: Log, min_count: int) -> FeatureSchema:
    """Vocabularies and statistics of the training part."""
    spec = log.spec
    exposed = log.events.filter(spec.stage_columns[0])
    user_columns = columns_of(user_frame(log), spec.features.user)
    item_frame = exposed.select("item_id").join(log.items, on="item_id", maintain_order="left")
    item_columns = columns_of(item_frame, spec.features.item)
    declared = [
        *((each, user_columns[each.name]) for each in spec.features.user),
        *((each, item_columns[each.name]) for each in spec.features.item),
    ]
    return FeatureSchema(
        vocabularies=_vocabularies(declared, min_count),
        user=[_feature(each, user_columns[each.name]) for each in spec.features.user],
        item=[_feature(each, item_columns[each.name]) for each in spec.features.item],
    )


def encode_requests(log: Log, schema: FeatureSchema) -> EncodedFeatures:
    """User-tower inputs, one row per request of the log."""
    frame = user_frame(log)
    return schema.encode_user(columns_of(frame, log.spec.features.user), len(frame))


def encode_items(log: Log, schema: FeatureSchema) -> EncodedFeatures:
    """Item-tower inputs, one row per item of the log."""
    return schema.encode_item(columns_of(log.items, log.spec.features.item), len(log.items))


def user_frame(log: Log) -> pl.DataFrame:
    """Requests, in order, with the features of their users."""
    named = [each.name for each in log.spec.features.user if each.table == "users"]
    if log.users is None or not named:
        return log.requests
    users = log.users.select("user_id", *(pl.col(name) for name in named if name != "user_id"))
    return log.requests.join(users, on="user_id", how="left", maintain_order="left")


def columns_of(
    frame: pl.DataFrame, features: Sequence[FeatureDeclaration]
) -> dict[str, Sequence[Any]]:
    """Feature columns as the encoder reads them: Python values, vectors as arrays."""
    return {
        each.name: list(frame[each.name].to_numpy())
        if each.type == "vector" and not frame[each.name].null_count()
        else frame[each.name].to_list()
        for each in features
    }


def _vocabularies(
    declared: Sequence[tuple[FeatureDeclaration, Sequence[Any]]], min_count: int
) -> dict[str, list[str]]:
    fitted_on: dict[str, list[Sequence[Any]]] = {}
    for each, column in declared:
        if each.type == "categorical":
            fitted_on.setdefault(each.vocabulary_name, []).append(column)
    for each, column in declared:
        if each.type == "sequence" and each.vocabulary_name not in fitted_on:
            flat = [value for values in column if values is not None for value in values]
            fitted_on[each.vocabulary_name] = [flat]
    return {name: build_vocabulary(columns, min_count) for name, columns in fitted_on.items()}


def _feature(declared: FeatureDeclaration, column: Sequence[Any]) -> Feature:
    name, vocabulary = declared.name, declared.vocabulary_name
    match declared.type:
        case "categorical":
            return Categorical(name=name, vocabulary=vocabulary)
        case "sequence":
            return CategorySequence(
                name=name, vocabulary=vocabulary, max_length=declared.max_length or 1
            )
        case "numeric":
            return Numeric.fit(name, column)
        case "vector":
            return Vector(name=name, dim=declared.dim or 1)


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


def _positives(events: pl.DataFrame, column: str, items: int) -> Positives:
    chosen = events.filter(column)
    item_P = chosen["item"].to_numpy()
    counts_N = np.bincount(item_P, minlength=items) + 0.5
    share_N = torch.tensor(counts_N / counts_N.sum(), dtype=torch.float32)
    return Positives(chosen["request"].to_numpy(), item_P, share_N)


def _unexposed(events: pl.DataFrame, columns: Sequence[str], requests: int) -> Candidates:
    chosen = events.filter(~pl.any_horizontal(columns)).sort("request", "item")
    count_R = np.bincount(chosen["request"].to_numpy(), minlength=requests)
    start_R = np.cumsum(count_R) - count_R
    return Candidates(start_R, count_R, chosen["item"].to_numpy())


def _tensor(array: NDArray[Any]) -> Tensor:
    """A copy in torch's own, aligned memory."""
    return torch.from_numpy(array).clone()
