"""Columns of `items.parquet` → attributes for filters.

Decisions
- The type follows the column's: text is a category, a number a number, a boolean a flag. Whoever
  filters on an integer compares numbers; ids that are integers filter by `equals` all the same.
- Null, empty text and NaN are "missing". Lists and other nested values have no filter and are
  refused; so is an infinite number.
- One column is in memory at a time, text as codes of its dictionary.

    columns = read_attributes(catalogue, ("brand", "price", "in_stock"))
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bundle.attributes import Attribute, AttributeColumn
from bundle.features import NAME
from index_builder.errors import InputError
from index_builder.tables import Catalogue, require_columns


def read_attributes(catalogue: Catalogue, names: Sequence[str]) -> list[AttributeColumn]:
    """The named columns in the order of the index's rows. Raises InputError."""
    if not names:
        return []
    file, table = pq.ParquetFile(catalogue.path), catalogue.path.name
    require_columns(file, table, names, "--attributes asks for it: name columns that are there")
    columns = []
    for name in dict.fromkeys(names):
        column = attribute_column(name, file.read(columns=[name]).column(name), table)
        columns.append(catalogue.in_row_order(column))
    return columns


def attribute_column(name: str, values: pa.ChunkedArray, file: str) -> AttributeColumn:
    """One column of a table as an attribute, in the table's order. Raises InputError."""
    _refuse_name(name, file)
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _category(name, values.cast(pa.string()))
    if pa.types.is_boolean(kind):
        flags_N = pc.fill_null(values.cast(pa.int8()), -1).to_numpy()
        return AttributeColumn(Attribute(name=name, type="flag"), flags_N)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers_N = pc.fill_null(values.cast(pa.float64(), safe=False), np.nan).to_numpy()
        _refuse_infinite(name, numbers_N, file)
        return AttributeColumn(Attribute(name=name, type="number"), numbers_N)
    raise InputError(
        file,
        f"column {name!r}",
        found=f"values of type {values.type}",
        remedy="an attribute is text, a number or a boolean: convert the column, or leave it out",
    )


def _refuse_name(name: str, file: str) -> None:
    if not re.fullmatch(NAME, name):
        raise InputError(
            file,
            f"column {name!r}",
            found="a name that no filter can carry",
            remedy="rename it: a letter or _, then at most 63 letters, digits and _",
        )


def _category(name: str, values: pa.ChunkedArray) -> AttributeColumn:
    """Codes into the sorted vocabulary; 0 for null and empty text."""
    encoded = values.combine_chunks().dictionary_encode()
    entries = encoded.dictionary.to_pylist()
    vocabulary = sorted(entry for entry in entries if entry)
    codes = {entry: code for code, entry in enumerate(vocabulary, start=1)}
    # The last place is for null, which pyarrow gives the index -1.
    code_of = np.array([*(codes.get(entry, 0) for entry in entries), 0], np.int32)
    indices_N = pc.fill_null(encoded.indices, -1).to_numpy()
    attribute = Attribute(name=name, type="category", vocabulary=vocabulary)
    return AttributeColumn(attribute, code_of[indices_N])


def _refuse_infinite(name: str, numbers_N: NDArray[np.float64], file: str) -> None:
    rows = np.flatnonzero(np.isinf(numbers_N))
    if len(rows):
        raise InputError(
            file,
            f"column {name!r}, row {rows[0]}",
            found=str(numbers_N[rows[0]]),
            remedy="correct the value, or leave it empty: nothing missing passes a range",
        )
