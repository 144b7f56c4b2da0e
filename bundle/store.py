"""The release store: bundles and indexes written whole, read verified, published by one rename.

releases/<run_id>/                     bundle: bundle.json + the files it lists
releases/<run_id>/index/<build_id>/    index:  index.json + the files it lists
releases/CURRENT                       the pair to serve

with staged_bundle(releases, run_id) as directory:
    write_schema(directory, schema)
    ...write the towers, evaluation.json and MODEL_CARD.md into directory...
    seal_bundle(directory, run_id=..., segments=..., default_weights=..., certificates=...)
bundle = read_bundle(releases / run_id)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle import errors
from bundle.attributes import AttributeColumn, attribute_files, read_attributes
from bundle.copies import COPIES, Copies, copies_files, read_copies
from bundle.files import Digest, describe_files, load_array, read_json, verify_files
from bundle.manifest import (
    BUNDLE_FILES,
    INDEX_FILES,
    ITEMS,
    LISTS,
    BundleManifest,
    Current,
    FileEntry,
    GoldenSet,
    IndexManifest,
    Segment,
    StageCertificate,
)
from bundle.schema import FeatureSchema, read_schema, vocabulary_files
from bundle.segments import Segments
from bundle.writing import staged_directory, to_json, write_atomically

BUNDLE_MANIFEST, INDEX_MANIFEST, CURRENT = "bundle.json", "index.json", "CURRENT"
INDEXES, DELTAS = "index", "delta"  # the folders of a bundle's indexes, and of what changed since


@dataclass(frozen=True)
class Bundle:
    """A verified bundle; `sha256` is the hash of bundle.json, and so of every file it lists."""

    directory: Path
    manifest: BundleManifest
    schema: FeatureSchema
    sha256: str

    @property
    def segments(self) -> Segments:
        """Stages and their dims."""
        return self.manifest.layout


@dataclass(frozen=True)
class Index:
    """A verified index; arrays are memory maps, a row of each per item."""

    directory: Path
    manifest: IndexManifest
    item_ids_N: NDArray[np.bytes_]
    item_vectors_NM: NDArray[np.float32]
    calibration_users_CM: NDArray[np.float32]
    attributes: tuple[AttributeColumn, ...]
    golden: GoldenSet
    sha256: str
    copies: Copies | None = None

    @property
    def faiss_file(self) -> Path:
        """The FAISS index file."""
        return self.directory / ITEMS

    @property
    def bundle_directory(self) -> Path:
        """The directory of its bundle."""
        return self.directory.parents[1]


@contextmanager
def staged_bundle(releases: Path, run_id: str) -> Iterator[Path]:
    """A temporary directory that becomes `releases/<run_id>`; call seal_bundle before leaving."""
    with staged_directory(releases / run_id) as directory:
        yield directory
        read_bundle(directory, run_id)


@contextmanager
def staged_index(bundle: Bundle, build_id: str) -> Iterator[Path]:
    """A temporary directory that becomes `<bundle>/index/<build_id>`; call seal_index in it."""
    with staged_directory(bundle.directory / INDEXES / build_id) as directory:
        yield directory
        read_index(directory, bundle, build_id)


def seal_bundle(
    directory: Path,
    *,
    run_id: str,
    segments: Segments,
    default_weights: dict[str, float],
    certificates: Sequence[StageCertificate],
) -> None:
    """Write bundle.json over the files already in `directory`; nothing may change after it."""
    manifest = BundleManifest(
        run_id=run_id,
        segments=[
            Segment(stage=name, size=size)
            for name, size in zip(segments.names, segments.sizes, strict=True)
        ],
        default_weights=default_weights,
        certificates=list(certificates),
        files=describe_files(directory, [*BUNDLE_FILES, *vocabulary_files(directory)]),
    )
    write_atomically(directory / BUNDLE_MANIFEST, to_json(manifest))


def index_files(directory: Path) -> list[FileEntry]:
    """The entries that index.json lists, for IndexManifest.files."""
    lists = [LISTS] if (directory / LISTS).exists() else []
    others = *attribute_files(directory), *copies_files(directory)
    return describe_files(directory, [*INDEX_FILES, *lists, *others])


def seal_index(directory: Path, manifest: IndexManifest) -> None:
    """Write index.json over the files already in `directory`; nothing may change after it."""
    write_atomically(directory / INDEX_MANIFEST, to_json(manifest))


def read_bundle(directory: Path, run_id: str = "", digest_of: Digest | None = None) -> Bundle:
    """Read and verify a bundle: every file, length and hash. Raises a BundleError.

    Its id must be `run_id`, or else the name of the directory.
    """
    with errors.reading(directory):
        manifest, digest = read_json(directory / BUNDLE_MANIFEST, BundleManifest)
        check_name(BUNDLE_MANIFEST, "run_id", run_id or directory.resolve().name, manifest.run_id)
        beside = frozenset({INDEXES, DELTAS})
        verify_files(directory, BUNDLE_MANIFEST, manifest.files, BUNDLE_FILES, beside, digest_of)
        schema = read_schema(directory, {entry.path for entry in manifest.files})
        return Bundle(directory, manifest, schema, digest)


def read_index(
    directory: Path, bundle: Bundle, build_id: str = "", digest_of: Digest | None = None
) -> Index:
    """Read and verify an index against its bundle. Raises a BundleError.

    Its id must be `build_id`, or else the name of the directory.
    """
    with errors.reading(directory):
        manifest, digest = read_json(directory / INDEX_MANIFEST, IndexManifest)
        _check_pair(manifest, bundle)
        check_name(
            INDEX_MANIFEST, "build_id", build_id or directory.resolve().name, manifest.build_id
        )
        verify_files(directory, INDEX_MANIFEST, manifest.files, INDEX_FILES, digest_of=digest_of)
        count, dim = manifest.items, manifest.dim
        item_ids_N = load_array(directory / "item_ids.npy", "S", (count,))
        check_sorted(item_ids_N, "item_ids.npy")
        golden, _ = read_json(directory / "golden.json", GoldenSet)
        listed = {entry.path for entry in manifest.files}
        copies = read_copies(directory, listed, count)
        if copies and manifest.kind == "exact":
            raise errors.InvalidFieldError(
                INDEX_MANIFEST, "files", expected=f"{COPIES} for ivf only", found="it for exact"
            )
        return Index(
            directory,
            manifest,
            item_ids_N,
            load_array(directory / "item_vectors.npy", "f4", (count, dim)),
            load_array(directory / "calibration_users.npy", "f4", (None, dim)),
            read_attributes(directory, listed, count),
            golden,
            digest,
            copies,
        )


def publish(releases: Path, run_id: str, build_id: str) -> Current:
    """Verify the pair and make it CURRENT. Publishing an older pair is a rollback."""
    bundle, index = _read_named(releases, run_id, build_id)
    current = Current(
        run_id=run_id,
        build_id=build_id,
        bundle_sha256=bundle.sha256,
        index_sha256=index.sha256,
        published_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    write_atomically(releases / CURRENT, to_json(current))
    return current


def read_current(releases: Path) -> Current:
    """The published pair. Raises NotPublishedError or another BundleError."""
    with errors.reading(releases):
        if not (releases / CURRENT).exists():
            raise errors.NotPublishedError(CURRENT, "", expected="a file", found="nothing")
        return read_json(releases / CURRENT, Current)[0]


def read_pair(
    releases: Path, current: Current, digest_of: Digest | None = None
) -> tuple[Bundle, Index]:
    """Read and verify the pair that CURRENT names, down to the hashes it names."""
    bundle, index = _read_named(releases, current.run_id, current.build_id, digest_of)
    with errors.reading(releases):
        for field, expected, found in (
            ("bundle_sha256", current.bundle_sha256, bundle.sha256),
            ("index_sha256", current.index_sha256, index.sha256),
        ):
            if expected != found:
                raise errors.HashMismatchError(CURRENT, field, expected=expected, found=found)
    return bundle, index


def pair_folders(releases: Path, run_id: str, build_id: str) -> tuple[Path, Path]:
    """Where a bundle and an index of it lie."""
    return releases / run_id, releases / run_id / INDEXES / build_id


def _read_named(
    releases: Path, run_id: str, build_id: str, digest_of: Digest | None = None
) -> tuple[Bundle, Index]:
    of_bundle, of_index = pair_folders(releases, run_id, build_id)
    bundle = read_bundle(of_bundle, run_id, digest_of)
    return bundle, read_index(of_index, bundle, build_id, digest_of)


def check_name(manifest: str, field: str, name: str, found: str) -> None:
    """Hold an id against the name of its directory."""
    if name != found:
        raise errors.WrongNameError(
            manifest, field, expected=f"{name}, as its directory", found=found
        )


def _check_pair(manifest: IndexManifest, bundle: Bundle) -> None:
    for field, expected, found in (
        ("run_id", bundle.manifest.run_id, manifest.run_id),
        ("bundle_sha256", bundle.sha256, manifest.bundle_sha256),
    ):
        if expected != found:
            raise errors.WrongBundleError(INDEX_MANIFEST, field, expected=expected, found=found)
    _check_count("dim", bundle.segments.dim, manifest.dim)
    for point in manifest.effort.points if manifest.effort else ():
        _check_count("effort.points.weights", len(bundle.segments.names), len(point.weights))


def _check_count(field: str, expected: int, found: int) -> None:
    if expected != found:
        raise errors.DimensionMismatchError(
            INDEX_MANIFEST, field, expected=str(expected), found=str(found)
        )


def check_sorted(item_ids_N: NDArray[np.bytes_], file: str) -> None:
    """Refuse ids that are not strictly increasing."""
    unsorted = np.flatnonzero(item_ids_N[1:] <= item_ids_N[:-1])
    if len(unsorted):
        row = int(unsorted[0])
        raise errors.UnsortedIdsError(
            file,
            f"row {row + 1}",
            expected=f"an id after {item_ids_N[row]!r}",
            found=repr(item_ids_N[row + 1]),
        )
