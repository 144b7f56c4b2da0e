"""Files read so that a surprise has its own error, and held against what was written of them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from bundle import errors
from bundle.manifest import FileEntry

Model = TypeVar("Model", bound=BaseModel)
Digest = Callable[[Path], str]  # a file's sha256
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
STRETCH = 4 << 20  # bytes
FORMAT = {"format", "format_version"}
# Wrong, unless it is part of a text, and taken by pydantic for numbers and for version 1.
SUSPECT = (b"NaN", b"Infinity")
SUSPECT_VERSION = re.compile(rb'"format_version"\s*:\s*true')


def describe_files(directory: Path, names: Sequence[str]) -> list[FileEntry]:
    """Length and sha256 of each named file, in the order given."""
    return [
        FileEntry(
            path=name, bytes=(directory / name).stat().st_size, sha256=sha256(directory / name)
        )
        for name in names
    ]


def sha256(path: Path) -> str:
    """Hash of a file's content.

    In large stretches: between two, a thread waits for whoever holds the interpreter.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        stretch = memoryview(bytearray(min(STRETCH, os.fstat(file.fileno()).st_size) or 1))
        while read := file.readinto(stretch):
            digest.update(stretch[:read])
    return digest.hexdigest()


def read_json(path: Path, model: type[Model], context: object = None) -> tuple[Model, str]:
    """Parse and validate a JSON file; the model and the sha256 of the very bytes parsed.

    The context is what the model's validators are told besides.

    A sound file is parsed once: while a large vocabulary is read, a server's other threads wait.
    """
    content, wrong = read_bytes(path), None
    try:
        found = model.model_validate_json(content, context=context)
    except ValidationError as error:
        wrong = error
    suspect = any(word in content for word in SUSPECT) or SUSPECT_VERSION.search(content)
    if wrong or suspect or FORMAT - found.model_fields_set:
        _check_format(_parse(content, path.name), model, path.name)
    if wrong:
        raise _field_error(wrong, path.name)
    return found, hashlib.sha256(content).hexdigest()


def read_bytes(path: Path) -> bytes:
    """Content of a regular file. Raises MissingFileError, UnsafePathError for a link."""
    require_regular(path)
    return path.read_bytes()


def require_regular(path: Path) -> None:
    """Refuse links, which could lead outside, and anything that is not a file."""
    if path.is_symlink():
        raise errors.UnsafePathError(path.name, "", expected="a regular file", found="a link")
    if not path.is_file():
        raise errors.MissingFileError(
            path.name, "", expected="a regular file", found=f"nothing at {path}"
        )


def verify_files(
    directory: Path,
    manifest: str,
    files: Sequence[FileEntry],
    required: Sequence[str],
    beside: frozenset[str] = frozenset(),
    digest_of: Digest | None = None,
) -> None:
    """Hold a directory against its manifest: every listed file, and no other but those `beside`.

    `digest_of` is for who remembers hashes of files that have not changed since.
    Raises UnsafePathError, MissingFieldError, UnlistedFileError, MissingFileError,
    TruncatedFileError, ExtraBytesError or HashMismatchError.
    """
    listed = {entry.path for entry in files}
    for name in sorted(listed):
        if not SAFE_NAME.fullmatch(name) or name == manifest:
            raise errors.UnsafePathError(
                manifest, "files.path", expected="a plain file name", found=repr(name)
            )
    for name in required:
        if name not in listed:
            raise errors.MissingFieldError(
                manifest, "files", expected=f"an entry for {name}", found=str(sorted(listed))
            )
    for path in sorted(directory.iterdir()):
        if path.name not in listed | {manifest} | beside:
            raise errors.UnlistedFileError(
                path.name, "", expected=f"only files listed in {manifest}", found="this one"
            )
    for entry in files:
        _verify_file(directory / entry.path, entry, digest_of or sha256)


def load_array(
    path: Path, kind: str, shape: tuple[int | None, ...], *, mmap: bool = True
) -> NDArray[Any]:
    """A .npy array of dtype kind ("f4" or "S") and shape (None = any length), mapped read-only.

    Raises InvalidArrayError or DimensionMismatchError. Object arrays (pickles) are never read.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except Exception as error:  # noqa: BLE001  (a hostile header can make numpy raise anything)
        raise errors.InvalidArrayError(
            path.name, "", expected="a .npy array", found=str(error)
        ) from None
    if kind not in {array.dtype.kind, array.dtype.str[1:]}:
        raise errors.InvalidArrayError(path.name, "dtype", expected=kind, found=array.dtype.str)
    if not array.flags.c_contiguous:
        raise errors.InvalidArrayError(path.name, "order", expected="rows", found="columns first")
    if array.ndim != len(shape) or any(
        want not in (None, have) for want, have in zip(shape, array.shape, strict=True)
    ):
        raise errors.DimensionMismatchError(
            path.name, "shape", expected=str(shape), found=str(array.shape)
        )
    return array


def _verify_file(path: Path, entry: FileEntry, digest: Digest) -> None:
    require_regular(path)
    size = path.stat().st_size
    expected, found = f"{entry.bytes} bytes", f"{size} bytes"
    if size < entry.bytes:
        raise errors.TruncatedFileError(entry.path, "", expected=expected, found=found)
    if size > entry.bytes:
        raise errors.ExtraBytesError(entry.path, "", expected=expected, found=found)
    if (hashed := digest(path)) != entry.sha256:
        raise errors.HashMismatchError(
            entry.path, "", expected=f"sha256 {entry.sha256}", found=hashed
        )


def _parse(content: bytes, file: str) -> dict[str, object]:
    try:
        document = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise errors.MalformedJsonError(file, "", expected="JSON", found=str(error)) from None
    if not isinstance(document, dict):
        raise errors.MalformedJsonError(
            file, "", expected="a JSON object", found=type(document).__name__
        )
    return document


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _check_format(document: dict[str, object], model: type[BaseModel], file: str) -> None:
    """Kind and version come first: the fields of another version mean nothing here."""
    for field, error in (
        ("format", errors.WrongFormatError),
        ("format_version", errors.UnknownVersionError),
    ):
        expected = model.model_fields[field].default
        if field not in document:
            raise errors.MissingFieldError(file, field, expected=repr(expected), found="nothing")
        if document[field] != expected or isinstance(document[field], bool):
            raise error(file, field, expected=repr(expected), found=repr(document[field]))


def _field_error(error: ValidationError, file: str) -> errors.BundleError:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return errors.MissingFieldError(file, field, expected="a value", found="nothing")
    return errors.InvalidFieldError(
        file, field, expected=first["msg"], found=f"{first['input']!r:.120}"
    )
