"""Kill csmf-index at random moments while it builds, publishes, rolls back and adds changes.

Decisions
- Each command runs in a process forked from this one, which has loaded it: a start costs a second,
  and no kill should be spent on it. The moment is drawn evenly over what the command takes when it
  is left alone, so some commands finish first; those count as no kill.
- After every kill the releases are read as a reader would, by the contract: CURRENT names a
  complete, verified pair; every build, delta and journal entry that can be seen is whole; entries
  that were there are what they were; the changes that are served never become fewer.
- At the end one command is left alone: it must succeed, and sweep up what the killed ones left.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bundle.delta import positions, read_delta
from bundle.errors import BundleError
from bundle.store import Bundle, read_bundle, read_current, read_index, read_pair
from loadtests.reliability.running import ServiceError
from loadtests.verdict import Threshold

COMMANDS = ("build", "changes", "rollback")
ROWS = 20  # of a file of changes
LEFT = (".staging-*", ".unfinished-*")  # by killed commands, where no reader looks


class BrokenStateError(Exception):
    """What a reader must never see."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of this experiment."""
    add = parser.add_argument
    add("--kills", type=int, default=200, help="(default: %(default)s)")
    add("--items", type=int, default=2000, help="of the catalogue (default: %(default)s)")
    add("--seed", type=int, default=0, help="of commands and moments (default: %(default)s)")


def thresholds(options: argparse.Namespace) -> list[Threshold]:
    """What must be reached."""
    return [
        Threshold("kills", "kills", at_least=options.kills),
        Threshold("kills", "broken_states", at_most=0),
        Threshold("kills", "failed_commands", at_most=0),
        Threshold("kills", "left_behind", at_most=0),
    ]


def run(options: argparse.Namespace, work: Path) -> dict[str, float]:
    """Kill; the figures."""
    from index_builder.cli import main  # noqa: PLC0415  loaded before any fork
    from index_builder.delta import apply_changes  # noqa: F401, PLC0415  what main loads late
    from tests.support.release import make_release  # noqa: PLC0415  only this experiment needs it

    release = make_release(work, items=options.items)
    moments = random.Random(options.seed)
    shop = Shop(main, release.directory, release.log, moments)
    seconds = {name: shop.seconds(name) for name in COMMANDS}
    seen, killed, broken, failed = Seen(shop.bundle), Counter[str](), 0, 0
    while killed.total() < options.kills:
        name = moments.choice(COMMANDS)
        code = shop.run(name, moments.random() * seconds[name])
        killed[name] += code == -signal.SIGKILL
        failed += code not in (0, -signal.SIGKILL)
        broken += not _sound(seen, f"a kill of {name}")
    left = [shop.run(name) for name in COMMANDS]
    return {
        "kills": killed.total(),
        **{f"kills_of_{name}": killed[name] for name in COMMANDS},
        **{f"seconds_of_{name}": round(spent, 2) for name, spent in seconds.items()},
        "broken_states": broken + (not _sound(seen, "the end")),
        "failed_commands": failed + sum(code != 0 for code in left),
        "builds": len(seen.builds),
        "journal_entries": len(seen.entries),
        "left_behind": sum(1 for name in LEFT for _ in release.releases.rglob(name)),
    }


def _sound(seen: Seen, after: str) -> bool:
    try:
        seen.look()
    except (BrokenStateError, BundleError, OSError, pa.ArrowException) as error:
        print(f"after {after}: {error}", file=sys.stderr)
        return False
    return True


@dataclass
class Shop:
    """One release and its log, on which csmf-index is run."""

    main: Callable[[Sequence[str]], int]
    directory: Path
    log: Path
    moments: random.Random

    @property
    def bundle(self) -> Bundle:
        """Verified."""
        return read_bundle(self.directory)

    def seconds(self, name: str) -> float:
        """Of a command that is left alone."""
        began = time.monotonic()
        if self.run(name):
            raise ServiceError(f"csmf-index failed although nobody killed it: {name}")
        return time.monotonic() - began

    def run(self, name: str, seconds: float | None = None) -> int:
        """The exit code of a command that is killed after so many seconds."""
        process = multiprocessing.get_context("fork").Process(
            target=_quietly, args=(self.main, self._arguments(name))
        )
        process.start()
        process.join(seconds)
        process.kill()
        process.join()
        return process.exitcode or 0

    def _arguments(self, name: str) -> list[str]:
        release = ["--release", str(self.directory)]
        if name == "changes":
            return [*release, "--changes", str(self._changes())]
        if name == "rollback":
            found = self.directory.glob("index/*/index.json")
            builds = sorted(path.parent.name for path in found if path.parent.name[0] != ".")
            return [*release, "--rollback", self.moments.choice(builds)]
        return [*release, "--log", str(self.log), "--attributes", "brand,price", "--publish"]

    def _changes(self) -> Path:
        """Some items removed, some said again, some new."""
        path = self.log / "changes.parquet"
        items = pq.read_table(self.log / "items.parquet")
        rows = items.take(self.moments.sample(range(items.num_rows), ROWS)).to_pylist()
        for row in rows[: ROWS // 4]:
            row["item_id"] = f"new{self.moments.randrange(1000):03d}"
        flags = [self.moments.random() < 0.5 for _ in rows]
        unique = {row["item_id"]: {**row, "removed": f} for row, f in zip(rows, flags, strict=True)}
        pq.write_table(pa.Table.from_pylist(list(unique.values())), path)
        return path


@dataclass
class Seen:
    """What a reader saw last, to hold the next look against."""

    bundle: Bundle
    position: int = 0
    entries: dict[str, str] = field(default_factory=dict)  # name → hash
    builds: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Read everything that can be seen. Raises what is wrong with it."""
        releases = self.bundle.directory.parent
        self._look_at_entries(releases / "changes")
        for path in sorted(self.bundle.directory.glob("index/[!.]*")):
            if path.name not in self.builds:
                read_index(path, self.bundle)
                self.builds.add(path.name)
        _, index = read_pair(releases, read_current(releases))
        served = [read_delta(index, place).manifest.position for place in positions(index)]
        position = max([index.manifest.journal_position, *served])
        if position < self.position:
            raise BrokenStateError(f"changes up to {self.position} were served, now {position}")
        self.position = position

    def _look_at_entries(self, folder: Path) -> None:
        paths = sorted(folder.glob("[!.]*"))
        hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
        expected = [f"{number:08d}.parquet" for number in range(1, len(hashes) + 1)]
        if [*hashes] != expected or self.entries.items() - hashes.items():
            raise BrokenStateError(f"the journal is no longer what it was: {[*hashes]}")
        for path in paths[len(self.entries) :]:
            pq.read_table(path)
        self.entries = hashes


def _quietly(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os._exit(main(arguments))
