"""A log's rows as tower inputs: the schema, fitted on one part of the log, encodes any part.

Decisions
- Vocabularies and statistics come from the training part only, and those of items from what was
  exposed in it: a row of a table exists iff training has seen it. What is new later is `unknown`,
  row 0, which training learns by hiding known categories (`sampling.unknown_rate`).
- A vocabulary is fitted by its categorical features. A sequence that shares it only reads it; a
  sequence with a vocabulary of its own fits that.
- No torch: evaluation encodes with the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bundle.features import (
    Categorical,
    CategorySequence,
    EncodedFeatures,
    Feature,
    Numeric,
    Vector,
    build_vocabulary,
)
from bundle.schema import FeatureSchema
from bundle.towers import OUTPUT
from training.logs.errors import LogError
from training.logs.reader import Log
from training.logs.spec import FeatureDeclaration


def fit_schema(log: Log, min_count: int) -> FeatureSchema:
    """Vocabularies and statistics of the training part."""
    spec = log.spec
    _refuse_reserved_name(log)
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


def _refuse_reserved_name(log: Log) -> None:
    features = log.spec.features
    if any(each.name == OUTPUT for each in (*features.user, *features.item)):
        raise LogError(
            "log.yaml",
            "features",
            None,
            f"a feature is called {OUTPUT!r}, which is the name of the towers' output",
            "Rename the column, there and in its table",
        )


def encode_requests(
    log: Log, schema: FeatureSchema, rows: NDArray[np.int64] | None = None
) -> EncodedFeatures:
    """User-tower inputs, one row per request of the log, or per row of `rows`."""
    frame = user_frame(log) if rows is None else user_frame(log)[rows]
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
