"""The delta of an index: what the journal says since it was built, in its bundle's vectors.

Decisions
- Only the net effect is encoded, by the same encoder, tower and tables as a whole build.
- Deltas are cumulative, so all but the newest KEPT are deleted: a reader may be loading the one
  before.
- `publish_fresh` is how any pair becomes CURRENT: under the journal's lock its delta is written up
  to the journal's end first, so that no change is ever taken back by publishing.

    with journal.locked():
        write_delta(bundle, index, journal)
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bundle.attributes import write_attributes
from bundle.delta import (
    delta_folder,
    position_name,
    positions,
    read_delta,
    seal_delta,
    staged_delta,
)
from bundle.manifest import Current, DeltaManifest
from bundle.store import (
    INDEXES,
    Bundle,
    Index,
    publish,
    read_bundle,
    read_current,
    read_index,
    read_pair,
)
from bundle.writing import STAGING_PREFIX
from index_builder.changes import attributes_of, read_changes
from index_builder.encode import encode_items
from index_builder.errors import InputError
from index_builder.journal import Changes, Journal
from index_builder.progress import Progress
from index_builder.tables import ITEMS, open_items

KEPT = 3


@dataclass(frozen=True)
class Applied:
    """What a file of changes led to."""

    position: int
    directory: Path
    manifest: DeltaManifest


def apply_changes(release: Path, file: Path) -> Applied:
    """Append a file to the journal and give the published pair its delta.

    Raises BundleError, or InputError before anything is written.
    """
    journal = Journal(release.parent)
    with journal.locked():
        current = read_current(release.parent)
        if current.run_id != release.name:
            raise InputError(
                "CURRENT",
                "run_id",
                found=f"{current.run_id!r}, not {release.name!r}",
                remedy=f"changes are for what is served: pass --release {release.parent}/"
                f"{current.run_id}",
            )
        bundle, index = read_pair(release.parent, current)
        rows = read_changes(file, bundle, index)
        journal.net(0, journal.end(), rows)  # they go together: builds begin with the first one
        journal.append(rows)
        position = write_delta(bundle, index, journal)
        directory = delta_folder(index) / position_name(position)
        return Applied(position, directory, read_delta(index, position).manifest)


def publish_fresh(releases: Path, run_id: str, build_id: str) -> Current:
    """Give a pair all changes, then make it CURRENT. Raises BundleError or InputError."""
    journal = Journal(releases)
    with journal.locked():
        bundle = read_bundle(releases / run_id, run_id)
        index = read_index(bundle.directory / INDEXES / build_id, bundle, build_id)
        write_delta(bundle, index, journal)
        return publish(releases, run_id, build_id)


def write_delta(bundle: Bundle, index: Index, journal: Journal) -> int:
    """Write the delta up to the journal's end, unless it is there; that position. Hold the lock."""
    end = journal.end()
    if end > index.manifest.journal_position and end not in positions(index):
        changes = journal.net(index.manifest.journal_position, end)
        with staged_delta(index, end) as staging:
            _write_items(bundle, index, changes, staging)
            removed = sorted(item_id.encode() for item_id in changes.removed)
            np.save(staging / "removed_ids.npy", np.array(removed, "S"))
            seal_delta(staging, index, end)
    _delete_old(index)
    return end


def _delete_old(index: Index) -> None:
    """Under a name that no reader looks for, and that the next writer removes after a kill."""
    for position in positions(index)[:-KEPT]:
        name = position_name(position)
        gone = delta_folder(index) / f"{STAGING_PREFIX}{name}"
        shutil.rmtree((delta_folder(index) / name).rename(gone))


def _write_items(bundle: Bundle, index: Index, changes: Changes, staging: Path) -> None:
    """Ids, vectors and attributes of the items that are there."""
    count = changes.items.num_rows
    if not count:
        np.save(staging / "item_ids.npy", np.empty(0, "S1"))
        np.save(staging / "item_vectors.npy", np.empty((0, index.manifest.dim), np.float32))
        write_attributes(staging, [column.rows([]) for column in index.attributes])
        return
    names = [feature.name for feature in bundle.schema.item]
    with tempfile.TemporaryDirectory(prefix="csmf-delta-") as scratch:
        path = Path(scratch) / ITEMS
        pq.write_table(_with_columns(changes.items, names), path)
        catalogue = open_items(path, names)
        np.save(staging / "item_ids.npy", catalogue.ids_N)
        progress = Progress("encode", "items", count)
        encode_items(bundle, catalogue, staging / "item_vectors.npy", progress)
        write_attributes(staging, attributes_of(catalogue, index))


def _with_columns(items: pa.Table, names: list[str]) -> pa.Table:
    """Features that no entry has are missing values: the changes may be older than the model."""
    for name in names:
        if name not in items.column_names:
            items = items.append_column(name, pa.nulls(items.num_rows))
    return items
