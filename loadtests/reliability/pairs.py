"""The pairs that experiments serve: found in a releases folder, or made for the purpose."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from loadtests.reliability.running import ServiceError


@dataclass(frozen=True)
class Pair:
    """A bundle and one of its indexes, and the CURRENT that names them."""

    releases: Path
    run_id: str
    build_id: str
    current: bytes

    @property
    def name(self) -> str:
        """As people write it."""
        return f"{self.run_id}/{self.build_id}"

    @property
    def items(self) -> int:
        """How many its index has."""
        manifest = self.releases / self.run_id / "index" / self.build_id / "index.json"
        return int(json.loads(manifest.read_text())["items"])

    def publish(self) -> None:
        """Make it CURRENT, as `csmf-index --rollback` does, without the time a command takes."""
        staged = self.releases / ".staging-current"
        staged.write_bytes(self.current)
        staged.rename(self.releases / "CURRENT")

    def users(self) -> list[dict[str, object]]:
        """Raw user records of its golden queries."""
        golden = self.releases / self.run_id / "index" / self.build_id / "golden.json"
        return [case["user"] for case in json.loads(golden.read_text())["cases"]]


def find_pairs(releases: Path) -> list[Pair]:
    """Every pair of a folder, each published once to learn its CURRENT; the first one stays so."""
    found = [path.parent for path in sorted(releases.glob("*/index/*/index.json"))]
    pairs = []
    for index in reversed(found):
        release = index.parents[1]
        csmf_index("--release", str(release), "--rollback", index.name)
        pairs.append(Pair(releases, release.name, index.name, (releases / "CURRENT").read_bytes()))
    return pairs[::-1]


def make_runs(work: Path, names: list[str], items: int, dims: tuple[int, ...] = (6, 5, 5)) -> Path:
    """A releases folder of untrained runs that share users and no item; kept if it is there.

    `dims` are those of the three segments.
    """
    from bundle.segments import Segments  # noqa: PLC0415  only where none are given
    from tests.support.release import make_release  # noqa: PLC0415  as above

    segments = Segments(("exposure", "click", "conversion"), dims)
    for seed, name in enumerate(names):
        if not (work / "releases" / name).exists():
            release = make_release(
                work, run_id=name, segments=segments, items=items, item_prefix=name, seed=seed
            )
            log = str(release.log)
            csmf_index("--release", str(release.directory), "--log", log, "--threads", "1")
            shutil.rmtree(release.log)
    return work / "releases"


def csmf_index(*arguments: str, nice: int = 0) -> None:
    """Run the command, behind others if told so. Raises ServiceError."""
    command = ["nice", "-n", str(nice), sys.executable, "-m", "index_builder.cli", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own interpreter
    if ran.returncode:
        raise ServiceError(f"csmf-index {' '.join(arguments)} failed: {ran.stderr.strip()[-500:]}")
