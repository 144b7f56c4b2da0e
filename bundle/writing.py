"""Files written so that a crash leaves the old state or the new one, never a mixture.

A directory is filled under a temporary name beside its target, every file is fsynced, the manifest
is written last, and one rename makes it visible. A staging directory is locked while its writer
lives; one left behind by a killed writer is removed when the next one starts beside it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from bundle import errors

STAGING_PREFIX = ".staging-"


@contextmanager
def staged_directory(final: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `final` to fill; rename it into place on success.

    Raises AlreadyReleasedError if `final` exists. After an exception nothing is left behind.
    """
    if final.exists():
        raise errors.AlreadyReleasedError(
            str(final), "", expected="no such directory", found="a directory"
        )
    final.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(final.parent, STAGING_PREFIX)
    staging, lock = locked_directory(final.parent, STAGING_PREFIX)
    try:
        yield staging
        for file in sorted(staging.iterdir()):
            fsync(file)
        fsync(staging)
        staging.chmod(0o755)
        staging.rename(final)
        fsync(final.parent)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `content`: temporary file, fsync, rename, fsync of the directory."""
    descriptor, name = tempfile.mkstemp(prefix=STAGING_PREFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).rename(path)
        fsync(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def to_json(model: BaseModel) -> bytes:
    """Canonical JSON of a model: equal models have equal bytes."""
    text = json.dumps(
        model.model_dump(mode="json"),
        sort_keys=True,
        indent=1,
        ensure_ascii=False,
        allow_nan=False,
    )
    return (text + "\n").encode()


def locked_directory(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new directory and the descriptor that holds its lock; a kill releases it too."""
    while True:
        staging = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            lock = os.open(staging, os.O_RDONLY)
        except FileNotFoundError:
            continue  # another writer took it for an abandoned one
        fcntl.flock(lock, fcntl.LOCK_EX)
        if staging.exists():
            return staging, lock
        os.close(lock)


def fsync(path: Path) -> None:
    """Force a file, or a directory's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove directories of `locked_directory` that nobody holds: their writers were killed."""
    for path in sorted(parent.glob(f"{prefix}*")):
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # gone, no directory, or another user's
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            pass  # its writer lives
        finally:
            os.close(lock)
