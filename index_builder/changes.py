"""A file of changes → rows of the journal, checked before anything is written.

Decisions
- A bad entry would be in the way of every later build, so a file is held against the pair that is
  served: ids, the columns and values that its item tower reads, the attributes its index has.
- The file is copied first: what is kept is what was checked, whoever writes to the file meanwhile.
- `removed` may be left out (nothing is) and null (it is not). A file of removals needs ids only.
- Ids occur once in a file: of two rows nobody could say which is the later one.

    rows = read_changes(Path("changes.parquet"), bundle, index)
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bundle.attributes import AttributeColumn
from bundle.store import Bundle, Index
from index_builder.attributes import attribute_column
from index_builder.encode import encode_items
from index_builder.errors import InputError
from index_builder.journal import ID, REMOVED
from index_builder.progress import Progress
from index_builder.tables import Catalogue, open_items, open_table, require_columns

ARROW_TYPES = {"category": pa.string(), "number": pa.float64(), "flag": pa.bool_()}


def read_changes(path: Path, bundle: Bundle, index: Index) -> pa.Table:
    """The rows of a file of changes, with `removed`. Raises InputError."""
    open_table(path)
    with tempfile.TemporaryDirectory(prefix="csmf-changes-") as scratch:
        copy = Path(scratch) / path.name
        shutil.copyfile(path, copy)
        return _checked(copy, bundle, index)


def _checked(path: Path, bundle: Bundle, index: Index) -> pa.Table:
    open_items(path, [])
    rows = _with_removed(pq.read_table(path), path.name)
    if pc.all(rows[REMOVED]).as_py():
        return rows.select([ID, REMOVED])
    catalogue = open_items(path, [feature.name for feature in bundle.schema.item])
    wanted = [column.attribute.name for column in index.attributes]
    remedy = "the index has this attribute: add the column"
    require_columns(pq.ParquetFile(path), path.name, wanted, remedy)
    attributes_of(catalogue, index)
    progress = Progress("check", "items", rows.num_rows)
    encode_items(bundle, catalogue, path.with_name("item_vectors.npy"), progress)
    return rows


def attributes_of(catalogue: Catalogue, index: Index) -> list[AttributeColumn]:
    """The attributes of an index, of these items; a missing column is missing values."""
    return [
        _in_row_order(catalogue, column.attribute.name, column.attribute.type)
        for column in index.attributes
    ]


def _in_row_order(catalogue: Catalogue, name: str, kind: str) -> AttributeColumn:
    file = pq.ParquetFile(catalogue.path)
    values = pa.chunked_array([pa.nulls(len(catalogue))])
    if name in file.schema_arrow.names:
        values = file.read(columns=[name]).column(name)
    try:
        column = attribute_column(name, values.cast(ARROW_TYPES[kind]), catalogue.path.name)
    except pa.ArrowException:
        raise InputError(
            catalogue.path.name,
            f"column {name!r}",
            found=f"values of type {values.type} where the index has a {kind}",
            remedy="convert the column, or build an index from a log whose column is like this",
        ) from None
    return catalogue.in_row_order(column)


def _with_removed(rows: pa.Table, file: str) -> pa.Table:
    if REMOVED not in rows.column_names:
        return rows.append_column(REMOVED, pa.array([False] * rows.num_rows))
    removed = rows[REMOVED]
    if not pa.types.is_boolean(removed.type):
        raise InputError(
            file,
            f"column {REMOVED!r}",
            found=f"values of type {removed.type}",
            remedy="it is true for items that are gone, false or null for others",
        )
    place = rows.schema.get_field_index(REMOVED)
    return rows.set_column(place, REMOVED, pc.fill_null(removed, False))
