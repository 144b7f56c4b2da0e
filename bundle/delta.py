"""What changed in the catalogue since an index was built: new, updated and removed items.

releases/<run_id>/delta/<build_id>/<position>/    delta.json + the files it lists

Decisions
- A delta is cumulative: all changes after its index, net, up to its position. A reader needs the
  newest one and no other, and old ones may be deleted under its feet.
- It is sealed and verified like an index, and names the very index it belongs to.
- It is read into memory: it is small, and a mapped file that another machine deletes takes the
  process along.
- An item is either there, with vector and attributes, or removed. Whether the index knew it before
  does not matter: what the delta says of an id holds.

    with staged_delta(index, position) as directory: ...write arrays...; seal_delta(directory, …)
    position = newest_position(index)               # None: nothing changed
    delta = read_delta(index, position)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle import errors
from bundle.attributes import AttributeColumn, attribute_files, read_attributes
from bundle.files import describe_files, load_array, read_json, verify_files
from bundle.manifest import DELTA_FILES, DeltaManifest
from bundle.store import DELTAS, Index, check_name, check_sorted
from bundle.writing import staged_directory, to_json, write_atomically

MANIFEST = "delta.json"
DIGITS = 8  # of a position in a name, so that names sort as numbers do


@dataclass(frozen=True)
class Delta:
    """A verified delta; row i of each array of items is one item."""

    manifest: DeltaManifest
    item_ids_D: NDArray[np.bytes_]
    item_vectors_DM: NDArray[np.float32]
    removed_ids_R: NDArray[np.bytes_]
    attributes: tuple[AttributeColumn, ...]


def position_name(position: int) -> str:
    """A position as directories and files are named."""
    return f"{position:0{DIGITS}d}"


def delta_folder(index: Index) -> Path:
    """Where the deltas of an index lie."""
    return index.bundle_directory / DELTAS / index.manifest.build_id


def positions(index: Index) -> list[int]:
    """Positions of the deltas there are, ascending."""
    names = (path.name for path in delta_folder(index).glob("*"))
    return sorted(int(name) for name in names if re.fullmatch(rf"\d{{{DIGITS}}}", name))


@contextmanager
def staged_delta(index: Index, position: int) -> Iterator[Path]:
    """A temporary directory that becomes the delta; call seal_delta in it."""
    with staged_directory(delta_folder(index) / position_name(position)) as directory:
        yield directory
        _read(directory, index, position)


def seal_delta(directory: Path, index: Index, position: int) -> None:
    """Write delta.json over the files already in `directory`."""
    manifest = DeltaManifest(
        run_id=index.manifest.run_id,
        build_id=index.manifest.build_id,
        index_sha256=index.sha256,
        from_position=index.manifest.journal_position,
        position=position,
        items=len(np.load(directory / "item_ids.npy")),
        removed=len(np.load(directory / "removed_ids.npy")),
        files=describe_files(directory, [*DELTA_FILES, *attribute_files(directory)]),
    )
    write_atomically(directory / MANIFEST, to_json(manifest))


def read_delta(index: Index, position: int) -> Delta:
    """Read and verify a delta against its index. Raises a BundleError."""
    return _read(delta_folder(index) / position_name(position), index, position)


def _read(directory: Path, index: Index, position: int) -> Delta:
    with errors.reading(directory):
        manifest, _ = read_json(directory / MANIFEST, DeltaManifest)
        _check_index(manifest, index)
        check_name(MANIFEST, "position", str(position), str(manifest.position))
        verify_files(directory, MANIFEST, manifest.files, DELTA_FILES)
        ids_D = load_array(directory / "item_ids.npy", "S", (manifest.items,), mmap=False)
        removed_R = load_array(directory / "removed_ids.npy", "S", (manifest.removed,), mmap=False)
        check_sorted(ids_D, "item_ids.npy")
        check_sorted(removed_R, "removed_ids.npy")
        _check_apart(ids_D, removed_R)
        shape = (manifest.items, index.manifest.dim)
        vectors_DM = load_array(directory / "item_vectors.npy", "f4", shape, mmap=False)
        listed = {entry.path for entry in manifest.files}
        attributes = read_attributes(directory, listed, manifest.items, mmap=False)
        _check_attributes(attributes, index.attributes)
        return Delta(manifest, ids_D, vectors_DM, removed_R, attributes)


def _check_index(manifest: DeltaManifest, index: Index) -> None:
    for field, expected, found in (
        ("run_id", index.manifest.run_id, manifest.run_id),
        ("build_id", index.manifest.build_id, manifest.build_id),
        ("index_sha256", index.sha256, manifest.index_sha256),
        ("from_position", str(index.manifest.journal_position), str(manifest.from_position)),
    ):
        if expected != found:
            raise errors.WrongIndexError(MANIFEST, field, expected=expected, found=found)


def _check_apart(ids_D: NDArray[np.bytes_], removed_R: NDArray[np.bytes_]) -> None:
    both = np.intersect1d(ids_D, removed_R)
    if len(both):
        raise errors.ConflictingIdsError(
            "removed_ids.npy", "", expected="no id of item_ids.npy", found=repr(both[0])
        )


def _check_attributes(
    found: tuple[AttributeColumn, ...], expected: tuple[AttributeColumn, ...]
) -> None:
    """A filter means the same on both, though the vocabularies may differ."""
    ours, theirs = (
        {column.attribute.name: column.attribute.type for column in columns}
        for columns in (found, expected)
    )
    if ours != theirs:
        raise errors.InvalidFieldError(
            "attributes.json",
            "attributes",
            expected=f"those of the index, {theirs}",
            found=str(ours),
        )
