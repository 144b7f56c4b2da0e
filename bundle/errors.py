"""One error per malformation of an artefact, so that a reader can refuse each by its own name.

Every error carries the file, the field inside it (or ""), what was expected, what was found and the
remedy; `str(error)` is the whole sentence an operator reads in a log line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class BundleError(Exception):
    """An artefact that must not be served; `directory` is where its file lies, once known."""

    remedy = "restore the directory from its source, or export it again"
    directory: Path | None = None

    def __init__(self, file: str, field: str, *, expected: str, found: str) -> None:
        self.file, self.field, self.expected, self.found = file, field, expected, found
        super().__init__(file, field, expected, found)

    def __str__(self) -> str:
        """The whole sentence."""
        path = str(self.directory / self.file) if self.directory else self.file
        place = f"{path}: {self.field}" if self.field else path
        return (
            f"{type(self).__name__}: {place}: expected {self.expected}, found {self.found}; "
            f"{self.remedy}"
        )


@contextmanager
def reading(directory: Path) -> Iterator[None]:
    """Let a BundleError raised within say in which directory its file lies."""
    try:
        yield
    except BundleError as error:
        error.directory = error.directory or directory
        raise


class MissingFileError(BundleError):
    """A file that the format requires or the manifest lists is not there."""

    remedy = "check the path; if it is right, restore the directory, or export it again"


class TruncatedFileError(BundleError):
    """A file is shorter than its manifest says."""


class ExtraBytesError(BundleError):
    """A file is longer than its manifest says."""


class HashMismatchError(BundleError):
    """A file has the right length and the wrong content."""


class UnlistedFileError(BundleError):
    """A file lies in the directory that the manifest does not list."""

    remedy = "published directories are immutable: remove the file, or export again"


class UnsafePathError(BundleError):
    """A file name could lead outside its directory: a separator, dot-dot, a link."""

    remedy = "do not use this artefact: it was not written by this project"


class WrongNameError(BundleError):
    """A directory is called otherwise than its manifest says."""

    remedy = "give the directory its own name again: people and programs find it by that"


class MalformedJsonError(BundleError):
    """A JSON file cannot be parsed."""


class MissingFieldError(BundleError):
    """A JSON file lacks a required field."""


class InvalidFieldError(BundleError):
    """A field has the wrong type, a value outside its range, or is not part of the format."""


class WrongFormatError(BundleError):
    """A manifest is that of another kind of artefact."""

    remedy = (
        "check which directory was passed: releases/<run_id> or releases/<run_id>/index/<build_id>"
    )


class UnknownVersionError(BundleError):
    """The artefact's format_version is not one this code reads."""

    remedy = "upgrade this program, or export the artefact with the matching release"


class DimensionMismatchError(BundleError):
    """Vector dimensions, row counts or segment sizes disagree."""


class TowerSignatureError(BundleError):
    """An ONNX tower's inputs or output differ from what features.json and the segments demand."""


class InvalidModelError(BundleError):
    """A tower file is not a model that onnxruntime can load."""


class InvalidArrayError(BundleError):
    """A .npy file is not a plain array of the expected type (object arrays are never read)."""


class UnsortedIdsError(BundleError):
    """Item ids are not strictly increasing, so a look-up by id would miss or find two rows."""

    remedy = "build the index again"


class WrongBundleError(BundleError):
    """An index was built from another bundle than the one beside it."""

    remedy = "build an index from this bundle with csmf-index, or publish the bundle it belongs to"


class WrongIndexError(BundleError):
    """A delta was made for another index than the one it lies beside."""

    remedy = "delete it: the next csmf-index --changes, --publish or --rollback makes it again"


class ConflictingIdsError(BundleError):
    """An item is both there and removed."""

    remedy = WrongIndexError.remedy


class NotPublishedError(BundleError):
    """No CURRENT names a pair to serve."""

    remedy = "publish one: csmf-index --release releases/<run_id> --log DIR --publish"


class AlreadyReleasedError(BundleError):
    """The target directory exists; published directories are immutable."""

    remedy = "choose another run_id or build_id, or delete the directory if nothing serves it"
