"""A log's items overlaid with the journal: the catalogue that a whole build indexes.

Decisions
- The journal is the later word: an item that it removed stays away although the log has it, unless
  the build is told up to where the log knows the journal (`--changes-after`).
- Columns are those of the log's table, and so are their types, but where changes need a wider one;
  what an entry lacks is missing.
- Written batch by batch to a table of its own, since a build reads its items more than once.

    with folded_items(log, journal, after=0) as (path, position): ...
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from index_builder.errors import InputError
from index_builder.journal import ID, Changes, Journal
from index_builder.tables import ITEMS, open_table


@contextmanager
def folded_items(log: Path, journal: Journal, after: int) -> Iterator[tuple[Path, int]]:
    """The table of items to index, and the journal's position that is in it. Raises InputError."""
    end = journal.end()
    if after > end:
        raise InputError(
            str(journal.folder),
            "",
            found=f"{end} changes, not {after}",
            remedy="--changes-after is a position of the journal that the log already knows",
        )
    if after == end:
        yield log / ITEMS, end
        return
    changes = journal.net(after, end)
    with tempfile.TemporaryDirectory(prefix="csmf-fold-") as scratch:
        path = Path(scratch) / ITEMS
        _overlay(open_table(log / ITEMS), changes, path)
        yield path, end


def _overlay(items: pq.ParquetFile, changes: Changes, path: Path) -> None:
    schema = _wide_enough(items.schema_arrow, changes.items)
    with pq.ParquetWriter(path, schema) as writer:
        for batch in items.iter_batches(65_536):
            ids = batch.column(ID).cast(pa.string())
            kept = batch.filter(pc.invert(pc.is_in(ids, changes.touched)))
            writer.write_batch(kept.cast(schema))
        if changes.items.num_rows:
            writer.write_table(_as(schema, changes.items))


def _wide_enough(schema: pa.Schema, rows: pa.Table) -> pa.Schema:
    """The log's types, or those that hold its values and the changes'. Raises InputError."""
    for place, field in enumerate(schema):
        if field.name not in rows.column_names:
            continue
        values = rows[field.name]
        try:
            if not _fits(values, field.type):
                both = [pa.schema([field]), pa.schema([(field.name, values.type)])]
                wide = pa.unify_schemas(both, promote_options="permissive")
                schema = schema.set(place, wide.field(0))
        except pa.ArrowException as error:
            raise InputError(
                ITEMS,
                f"column {field.name!r}",
                found=f"of type {field.type}, and changes of type {values.type} ({error})",
                remedy="give the log's column that type, or pass a log that already holds the "
                "changes, with --changes-after",
            ) from None
    return schema


def _fits(values: pa.ChunkedArray, wanted: pa.DataType) -> bool:
    try:
        values.cast(wanted)
    except pa.ArrowException:
        return False
    return True


def _as(schema: pa.Schema, rows: pa.Table) -> pa.Table:
    columns = [
        rows[field.name].cast(field.type)
        if field.name in rows.column_names
        else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
