"""Which files were hashed before, so that what has not changed since is not hashed again.

Decisions
- Every file of a pair is held against its sha256 before it is served: by the first who loads it on
  this machine. Who comes later, the workers beside it and those that replace them, goes by its
  receipt: the same inode, length and times of change, to the nanosecond. When anything of a file
  was last changed is set by the kernel; to set it back takes the machine's clock, or its disk.
- What that cannot see: a page of a shared map that was written to before the hash, and again after
  it, may bear no new time until it is on disk. Who keeps the rules of SPEC.md has no such map.
- Nor a disk that rots, so a receipt is good for DAY_S: a start of the service looks again, as does
  a return to an older pair; nobody looks while a pair is served. A worker that is started beside
  others goes by receipts of any age: they serve the very same pages, and need the cores.
- A file that changed within the last moments gets none: another change might bear the same time.
- Receipts are a table in the state folder, which only the service writes: the last KEPT. One that
  cannot be read, or kept, costs the time of a hash and nothing else.
- Who starts serves nobody yet, so it hashes its files side by side, on all cores; later, one after
  the other. `csmf-serve` begins before it imports what serves, which takes one core as long.

    with kept_receipts(state_dir) as receipts:
        bundle, index = read_pair(releases, current, receipts.digest)
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError

from bundle.files import sha256
from bundle.writing import to_json, write_atomically

log = logging.getLogger(__name__)

FILE = "hashed-files.json"
DAY_S = 86_400.0
MOMENT_S = 2.0  # longer than the clock of any file system ticks
KEPT = 1000  # of some fifty pairs
Version = str  # of a file: device, inode, length, times


class _Receipt(BaseModel):
    sha256: str
    hashed_at: float


class _Receipts(BaseModel):
    files: dict[Version, _Receipt] = {}


class Receipts:
    """Hashes of files, remembered across processes that share a state folder."""

    def __init__(self, state_dir: Path, good_s: float = DAY_S) -> None:
        self._path, self._good_s = state_dir / FILE, good_s
        self._known = _read(self._path)
        self._new = False

    def digest(self, path: Path) -> str:
        """The sha256 of a file. Raises OSError."""
        before, now = path.stat(), time.time()
        receipt = self._known.get(_version(before))
        if receipt and 0 <= now - receipt.hashed_at < self._good_s:
            return receipt.sha256
        digest = sha256(path)
        settled = now - max(before.st_mtime, before.st_ctime) > MOMENT_S
        if settled and _version(path.stat()) == _version(before):
            self._known[_version(before)] = _Receipt(sha256=digest, hashed_at=now)
            self._new = True
        return digest

    def hash_all(self, folders: Iterable[Path]) -> None:
        """Hash the files of these folders side by side; what is wrong with them is found later."""
        with self.hashing(folders):
            pass

    @contextmanager
    def hashing(self, folders: Iterable[Path]) -> Iterator[None]:
        """Do that while something else is done; no more of it than is begun if that fails."""
        pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="hashing")
        with suppress(OSError):
            files = [path for folder in folders for path in folder.iterdir() if path.is_file()]
            for path in sorted(files, key=lambda path: -path.stat().st_size):
                pool.submit(self.digest, path)
        try:
            yield
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()

    def keep(self) -> None:
        """Leave what was hashed to the next process."""
        if not self._new:
            return
        newest = sorted(self._known.items(), key=lambda known: -known[1].hashed_at)[:KEPT]
        try:
            write_atomically(self._path, to_json(_Receipts(files=dict(newest))), 0o600)
            self._new = False
        except OSError as error:
            log.warning("files will be hashed again at the next start: %s", error)


@contextmanager
def kept_receipts(state_dir: Path, good_s: float = DAY_S) -> Iterator[Receipts]:
    """What was hashed before; what is hashed meanwhile is kept, also of files that are refused."""
    receipts = Receipts(state_dir, good_s)
    try:
        yield receipts
    finally:
        receipts.keep()


@contextmanager
def hashed_meanwhile(state_dir: Path, folders: Iterable[Path]) -> Iterator[None]:
    """Hash the files of these folders while something else is done, for who asks afterwards."""
    with suppress(OSError):
        state_dir.mkdir(parents=True, exist_ok=True)
    if not os.access(state_dir, os.W_OK):  # nothing can be left there for anybody
        yield
        return
    with kept_receipts(state_dir) as receipts, receipts.hashing(folders):
        yield


def _read(path: Path) -> dict[Version, _Receipt]:
    try:
        return _Receipts.model_validate_json(path.read_bytes()).files
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        log.warning("files are hashed again: %s", error)
        return {}


def _version(found: os.stat_result) -> Version:
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"
