"""Columns of a table as the encoder of a feature reads them soonest.

Decisions
- Whatever the encoder has a whole-array form for goes in that form: numbers and vectors as arrays,
  categories of which there are few as their codes. All else goes as Python values, which is what
  the forms are held to: neither rows nor refusals differ.
- A column with a missing number goes value by value: an array has no missing ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bundle.columns import Coded, Column
from bundle.features import Categorical, Feature, Numeric, Vector

SAMPLE = 512  # rows that tell whether a column repeats itself


def feature_columns(batch: pa.RecordBatch, features: Sequence[Feature]) -> dict[str, Column]:
    """The column of each feature."""
    return {feature.name: as_column(feature, batch.column(feature.name)) for feature in features}


def as_column(feature: Feature, array: pa.Array) -> Column:
    """One column for the encoder of its feature."""
    kind = array.type
    values: Column | None = None
    if isinstance(feature, Categorical) and (pa.types.is_string(kind) or pa.types.is_integer(kind)):
        values = _coded(array)
    elif isinstance(feature, Numeric) and (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        values = None if array.null_count else array.to_numpy()
    elif isinstance(feature, Vector) and _is_list_of_floats(kind):
        values = _vectors(array, feature.dim)
    return array.to_pylist() if values is None else values


def _coded(array: pa.Array) -> Coded | None:
    """Codes, where they save anything; whether they do, the first rows tell."""
    first = array[:SAMPLE]
    if 2 * len(first.unique()) > len(first):
        return None
    encoded = array.dictionary_encode()
    places_B = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return Coded(encoded.dictionary.to_pylist(), places_B)


def _vectors(array: pa.Array, dim: int) -> Column:
    """One array [B, dim]; where the rows are not such, an array for each."""
    flat = array.flatten()
    if not array.null_count and not flat.null_count:
        lengths_B = pc.list_value_length(array).to_numpy(zero_copy_only=False)
        if (lengths_B == dim).all():
            return np.reshape(flat.to_numpy(), (-1, dim))
    rows: Column = array.to_numpy(zero_copy_only=False)
    return rows


def _is_list_of_floats(kind: pa.DataType) -> bool:
    is_list = (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
    return is_list and bool(pa.types.is_floating(kind.value_type))
