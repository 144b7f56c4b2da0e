"""Hold every answer against the OpenAPI document, and throw bytes of any kind at the port.

Decisions
- Requests come from the document (cases.py), with a key that may do everything. Memory is counted
  after the first quarter of them, and after all.
- Bytes come over many connections at once (garbage.py), while somebody else asks /retrieve: each of
  those requests must be answered. Memory is counted after a first part of the bytes, when every
  kind of buffer has been asked for, and once all are sent and forgotten. Connections are counted
  when nobody asks any more: none may be left.
- Nothing of it may show as an error in the service's log.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

from loadtests.reliability import garbage
from loadtests.reliability.load import Answer, Client, loaded
from loadtests.reliability.pairs import find_pairs, make_runs
from loadtests.reliability.running import RunningService, ServiceError
from loadtests.verdict import Threshold

PROBES = 10.0  # a second
SLOWEST_S = 5.0
PROBING = 16  # connections that the probes may keep; their client opens what it needs
FORGOTTEN_S = 30.0  # until the service has closed what nobody closed
HELD = {"01", "08"}  # the kernel's numbers for established, and for closed by the other side only


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of this experiment."""
    add = parser.add_argument
    add("--releases", type=Path, help="folder with a published pair; default: one made here")
    add("--cases", type=int, default=10_000, help="of the document (default: %(default)s)")
    add("--garbage", type=int, default=5_000, help="connections of bytes (default: %(default)s)")
    add("--seed", type=int, default=1, help="of both (default: %(default)s)")


def thresholds(options: argparse.Namespace) -> list[Threshold]:
    """What must be reached."""
    none = ("failed_cases", "server_errors_for_bytes", "answers_that_are_no_http", "failed_probes",
            "connections_left", "errors_logged", "workers_that_died")  # fmt: skip
    return [
        Threshold("contract", "cases", at_least=options.cases),
        *(Threshold("contract", figure, at_most=0) for figure in none),
        Threshold("contract", "slowest_probe_s", at_most=SLOWEST_S),
        Threshold("contract", "memory_growth", at_most=0.05),
        Threshold("contract", "memory_growth_by_cases", at_most=0.05),
    ]


def run(options: argparse.Namespace, work: Path) -> dict[str, float]:
    """Ask both ways; the figures."""
    from loadtests.reliability import cases  # noqa: PLC0415  no other experiment needs schemathesis

    work.mkdir(parents=True, exist_ok=True)
    releases = options.releases or make_runs(work, ["one"], 2000)
    if options.releases is None:
        find_pairs(releases)[0].publish()
    keys = work / "keys.json"
    key = _key(keys)
    flags = ("--workers", "2", "--anonymous", "", "--keys-file", str(keys))
    with RunningService(releases, work, *flags) as service:
        workers = service.workers()
        figures = cases.hold(
            service.port, key, options.cases, options.seed, lambda: _private(service)
        )
        figures |= asyncio.run(_bytes(service, key, options.garbage, options.seed))
        return figures | {
            "errors_logged": service.logged(" ERROR ") + service.logged("Traceback"),
            "workers_that_died": len(set(workers) - set(service.workers())),
        }


def _key(file: Path) -> str:
    """A new key that may do everything."""
    file.unlink(missing_ok=True)
    words = ["new", "experiment", "--role", "admin", "--file", str(file)]
    command = [sys.executable, "-m", "service.operators.keys", *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own interpreter
    if ran.returncode:
        raise ServiceError(f"csmf-keys failed: {ran.stderr.strip()[-500:]}")
    return ran.stdout.split()[-1]


async def _bytes(service: RunningService, key: str, count: int, seed: int) -> dict[str, float]:
    chance, probes = random.Random(seed), list[Answer]()
    client = Client(service.port, "/retrieve", [b'{"user": {}, "k": 10}'], key)
    async with loaded(client, PROBES, probes.append):
        first = await garbage.throw(service.port, key, count // 4, chance)
        await _forgotten(service.port, PROBING)
        before = _private(service)
        seen = first + await garbage.throw(service.port, key, count - count // 4, chance)
        await _forgotten(service.port, PROBING)
        after = _private(service)
    client.close()
    await _forgotten(service.port, 0)
    return {
        "connections_of_bytes": count,
        **{f"bytes_{status}": n for status, n in sorted(seen.items())},
        "server_errors_for_bytes": sum(n for s, n in seen.items() if s >= 500),
        "answers_that_are_no_http": seen[garbage.NO_HTTP],
        "probes": len(probes),
        "failed_probes": sum(answer.status != 200 for answer in probes),
        "slowest_probe_s": round(max(answer.seconds for answer in probes), 2),
        "connections_left": _connections(service.port),
        "private_mb": round(after / 2**20, 1),
        "memory_growth": round(after / before - 1, 4),
    }


async def _forgotten(port: int, but: int) -> None:
    """Wait until the service has closed all connections, or all but so many."""
    deadline = time.monotonic() + FORGOTTEN_S
    while _connections(port) > but and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
    await asyncio.sleep(1)


def _private(service: RunningService) -> int:
    return max(memory.private for memory in service.memory().values())


def _connections(port: int) -> int:
    """Connections to the port that the service has not closed, whoever else has."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] in HELD for row in rows)
