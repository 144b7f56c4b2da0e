"""Publish every broken release of the tests' corpus, and fuzzed ones, to a service that is asked.

Decisions
- The corpus is tests/bundle/attacks.py, which prints the error that each attack must be refused by.
  The service has to name the same error in its log, or say that the index is of another bundle: a
  bundle that is changed and sealed anew is no longer the one its index was built from, and that is
  seen first. Each fuzzed release has one file cut off, lengthened, removed or changed in a few
  bytes, and must be refused whatever the error.
- The service reads its releases through a link that is turned from one folder to the next: all the
  broken releases bear one name, as a release bears whose copy went wrong.
- After each, the sound release is published anew and must be served before the next one comes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from loadtests.reliability.load import Answer, Client, loaded
from loadtests.reliability.running import RunningService, ServiceError
from loadtests.verdict import Threshold

ATTACKS = Path(__file__).parents[2] / "tests" / "bundle" / "attacks.py"
PRINTED = re.compile(r"^\w+ +(\w+): (\w+Error): ", re.MULTILINE)
DECIDED = re.compile(r"cannot serve|now serving [^,]+, loaded")
FLAGS = ("--workers", "2", "--releases-poll-s", "0.1", "--max-in-flight", "1000")
OF_ANOTHER_BUNDLE = "WrongBundleError"
DECIDE_S = 60.0
QUERY = b'{"user": {}, "k": 10}'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of this experiment."""
    add = parser.add_argument
    add("--fuzzed", type=int, default=100, help="broken at random (default: %(default)s)")
    add("--corpus", type=int, help="at most so many of the corpus (default: all)")
    add("--rate", type=float, default=20.0, help="requests a second (default: %(default)s)")


def thresholds(options: argparse.Namespace) -> list[Threshold]:
    """What must be reached."""
    return [
        Threshold("malformed", "malformations", at_least=options.fuzzed + (options.corpus or 60)),
        Threshold("malformed", "not_refused_by_name", at_most=0),
        Threshold("malformed", "failed_requests", at_most=0),
        Threshold("malformed", "workers_that_died", at_most=0),
    ]


def run(options: argparse.Namespace, work: Path) -> dict[str, float]:
    """Offer them all; the figures."""
    work.mkdir(parents=True, exist_ok=True)
    broken = _corpus(work / "corpus", options.corpus) | _fuzzed(work, options.fuzzed)
    sound = work / "corpus" / "sound" / "releases"
    served = work / "served"
    _turn(served, sound)
    with RunningService(served, work, *FLAGS) as service:
        offers = Offers(service, served, sound)
        return asyncio.run(_offer_all(options, offers, broken))


class Offers:
    """Turns the link of a service's releases, and reads in its log what became of that."""

    def __init__(self, service: RunningService, served: Path, sound: Path) -> None:
        self.service, self._served, self._sound = service, served, sound
        self._workers, self._turns = len(service.workers()), 0

    async def refused(self, releases: Path) -> list[str]:
        """The errors by which the workers refuse a release; then the sound one serves again."""
        said = await self._offer(releases)
        if "cannot serve" in await self._offer(self._sound):
            raise ServiceError(f"the sound release was not served after {releases}")
        return re.findall(r"\b(\w+Error): ", said)

    async def _offer(self, releases: Path) -> str:
        """Publish what lies in a folder anew; what is logged until every worker has decided."""
        self._turns += 1
        _restamp(releases / "CURRENT", self._turns)
        before, began = len(self.service.log.read_text()), time.monotonic()
        _turn(self._served, releases)
        while True:
            said = self.service.log.read_text()[before:]
            if len(DECIDED.findall(said)) >= self._workers:
                return said
            if time.monotonic() - began > DECIDE_S:
                raise ServiceError(f"nothing was decided about {releases} in {DECIDE_S:g} s")
            await asyncio.sleep(0.02)


async def _offer_all(
    options: argparse.Namespace, offers: Offers, broken: dict[Path, str]
) -> dict[str, float]:
    workers, statuses, missed = offers.service.workers(), Counter[int](), []
    client = Client(offers.service.port, "/retrieve", [QUERY])

    def count(answer: Answer) -> None:
        statuses[answer.status] += 1

    async with loaded(client, options.rate, count):
        for releases, error in broken.items():
            named = await offers.refused(releases)
            if not named or (error and not {error, OF_ANOTHER_BUNDLE} & set(named)):
                missed.append(f"{releases.parent.name}: expected {error or 'a refusal'}: {named}")
    client.close()
    print(*missed, sep="\n", file=sys.stderr)
    return {
        "malformations": len(broken),
        "not_refused_by_name": len(missed),
        "requests": statuses.total(),
        "failed_requests": statuses.total() - statuses[200],
        "workers_that_died": len(set(workers) - set(offers.service.workers())),
    }


def _corpus(out: Path, most: int | None) -> dict[Path, str]:
    """Folders of the corpus with the error that each must be refused by."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, str(ATTACKS), str(out)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own interpreter
    if ran.returncode:
        raise ServiceError(f"the corpus could not be written: {ran.stderr.strip()[-500:]}")
    found = PRINTED.findall(ran.stdout)[:most]
    return {out / name / "releases": error for name, error in found}


def _fuzzed(work: Path, count: int) -> dict[Path, str]:
    """Copies of the sound release, each with one file harmed; any refusal will do."""
    chance, found = random.Random(1), {}
    for number in range(count):
        releases = work / "fuzzed" / f"fuzzed-{number}" / "releases"
        shutil.rmtree(releases, ignore_errors=True)
        shutil.copytree(work / "corpus" / "sound" / "releases", releases)
        files = sorted(path for path in releases.rglob("*") if path.is_file())
        _harm(chance.choice([path for path in files if path.name != "CURRENT"]), chance)
        found[releases] = ""
    return found


def _harm(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    match chance.choice(["cut", "lengthen", "remove", "change"]):
        case "cut":
            path.write_bytes(content[: chance.randrange(len(content))])
        case "lengthen":
            path.write_bytes(content + chance.randbytes(chance.randint(1, 100)))
        case "remove":
            path.unlink()
        case "change":
            for _ in range(chance.randint(1, 8)):
                content[chance.randrange(len(content))] ^= chance.randint(1, 255)
            path.write_bytes(content)


def _turn(link: Path, folder: Path) -> None:
    """Let a link lead to a folder, at once."""
    turned = link.with_suffix(".new")
    turned.unlink(missing_ok=True)
    turned.symlink_to(folder)
    turned.replace(link)


def _restamp(current: Path, number: int) -> None:
    """Publish anew what CURRENT names, if it names anything: only the time is another."""
    try:
        document = json.loads(current.read_text())
        document["published_at"] = f"2026-01-01T00:00:00.{number:06}+00:00"
    except (OSError, ValueError, TypeError):
        return
    current.write_text(json.dumps(document))
