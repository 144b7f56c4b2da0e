"""What a killed build leaves to the next one, and what of it is believed.

index/.unfinished-XXXXXXXX/    locked while its build lives
    record.json                what the build is of, and what of the files below counts
    item_vectors.npy           each row that was encoded is in its place
    <name>.npy                 results of a step

Decisions
- Nothing counts for being there. A stretch of vectors counts once the record holds its hash, and
  the record is replaced by one rename after the vectors were synced; a result is written in one
  rename. Hashes are held against what is read, so a disk that lied is found out.
- The record names bundle, catalogue, users and settings by their hash, and the libraries that
  compute: a build of anything else starts afresh.
- Only a build that was killed, or stopped with Ctrl-C, leaves something. The next build of the
  bundle goes on with it if it is of the same, and else removes it. A living build's is left alone.
- The finished vectors are the index's own file under a second name: nothing is written twice. What
  a build left that was killed between the two, and has its name in an index too, is not written to.

    with unfinished(bundle.directory / INDEXES, identity) as kept:
        centroids_CM = kept.array("centroids", lambda: train_centroids(...))
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from bundle.files import sha256
from bundle.writing import locked_directory, to_json, write_atomically

PREFIX = ".unfinished-"
RECORD, VECTORS = "record.json", "item_vectors.npy"
HASHED = 8192  # rows at once
Floats = NDArray[np.float32]


class Stretch(BaseModel):
    """Rows of the table whose vectors are on disk, after those of the stretch before."""

    rows: int
    sha256: str
    unknown: dict[str, int]  # values per feature


class Record(BaseModel):
    """`record.json`."""

    identity: str
    stretches: list[Stretch] = []
    arrays: dict[str, str] = {}  # name → sha256


@dataclass
class Unfinished:
    """The folder of one build."""

    folder: Path
    record: Record

    @property
    def vectors(self) -> Path:
        """Where the vectors are."""
        return self.folder / VECTORS

    def array(self, name: str, make: Callable[[], Floats]) -> Floats:
        """The result of a step: the one that was kept, or made now, and kept."""
        path, listed = self.folder / f"{name}.npy", self.record.arrays.get(name)
        if listed and path.exists() and sha256(path) == listed:
            return np.asarray(np.load(path), np.float32)
        made, content = make(), io.BytesIO()
        np.save(content, made)
        write_atomically(path, content.getvalue())
        self.record.arrays[name] = hashlib.sha256(content.getvalue()).hexdigest()
        self.save()
        return made

    def open_vectors(self, shape: tuple[int, int], rank_N: NDArray[np.int64]) -> tuple[Floats, int]:
        """The map to write vectors to, and how many rows of the table it holds already.

        Rows of the table are at `rank_N`. Stretches from the first on that is not as recorded are
        forgotten.
        """
        try:
            items_NM = np.lib.format.open_memmap(self.vectors, mode="r+")
            own = self.vectors.stat().st_nlink == 1
            sound = own and items_NM.shape == shape and items_NM.dtype == np.float32
        except (OSError, ValueError):
            sound = False
        stretches, done = self.record.stretches, 0
        self.record.stretches = []
        if not sound:
            self.vectors.unlink(missing_ok=True)
            return np.lib.format.open_memmap(self.vectors, "w+", np.float32, shape), 0
        for stretch in stretches:
            if digest_of(items_NM, rank_N[done : done + stretch.rows]) != stretch.sha256:
                break
            self.record.stretches.append(stretch)
            done += stretch.rows
        return items_NM, done

    def note(self, items_NM: Floats, rows: NDArray[np.int64], unknown: Mapping[str, int]) -> None:
        """Let the next rows of the table count, which are at these rows of the vectors."""
        assert isinstance(items_NM, np.memmap)  # noqa: S101  # for mypy
        items_NM.flush()
        digest = digest_of(items_NM, rows)
        self.record.stretches.append(Stretch(rows=len(rows), sha256=digest, unknown=dict(unknown)))
        self.save()

    def unknown(self) -> Counter[str]:
        """Values per feature that training never saw, of all stretches."""
        counts: Counter[str] = Counter()
        for stretch in self.record.stretches:
            counts.update(stretch.unknown)
        return counts

    def save(self) -> None:
        """Make the record what it says now."""
        write_atomically(self.folder / RECORD, to_json(self.record))


def digest_of(items_NM: Floats, rows: NDArray[np.int64]) -> str:
    """Hash of the vectors of these rows, in this order."""
    digest = hashlib.sha256()
    for start in range(0, len(rows), HASHED):
        digest.update(items_NM[rows[start : start + HASHED]].data)
    return digest.hexdigest()


@contextmanager
def unfinished(parent: Path, identity: str) -> Iterator[Unfinished]:
    """The folder of a build of this, be it one that a killed build of the same left."""
    parent.mkdir(parents=True, exist_ok=True)
    kept, lock = _taken_over(parent, identity) or _new(parent, identity)
    try:
        yield kept
        shutil.rmtree(kept.folder)
    except Exception:
        shutil.rmtree(kept.folder, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def _new(parent: Path, identity: str) -> tuple[Unfinished, int]:
    folder, lock = locked_directory(parent, PREFIX)
    kept = Unfinished(folder, Record(identity=identity))
    kept.save()
    return kept, lock


def _taken_over(parent: Path, identity: str) -> tuple[Unfinished, int] | None:
    """What a killed build of the same left; that of others is removed."""
    found = None
    for folder in sorted(parent.glob(f"{PREFIX}*")):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            continue
        except BlockingIOError:  # its build lives
            os.close(lock)
            continue
        record = _read(folder / RECORD)
        if found is None and record and record.identity == identity:
            found = Unfinished(folder, record), lock
        else:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
    return found


def _read(path: Path) -> Record | None:
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
