"""Serve for an hour at 70% load while everything changes: do memory, files and latency stay flat?

Decisions
- All that operators do goes on meanwhile: weights every minute, the catalogue every two and a half,
  another pair every five. The catalogue has two states that take turns: what is served beside the
  index stays of one size, so that what grows all the same is the service.
- All workers share one core; who asks, and the commands that build, have another, as they would on
  machines of their own: this is about the service, not about its neighbours. What workers do to
  load a pair is the service's.
- Everything comes in the middle of its interval, so that each quarter of the run sees as much of it
  as any other, and what two quarters differ in is their age.
- The machine is looked at, too: what slows a fixed piece of work down is not the service.
- After the hour a service that just started is asked beside the old one, in turns, and at the same
  rate: that is where latency is judged (`ageing.py`).
- The rate is a share of the least of several capacities, each what the service answers to clients
  that never pause: 70% of what a shared machine can do at its best may be all that it can do later.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import astuple, fields
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from loadtests.reliability.ageing import Contender, Round, drift, side_by_side
from loadtests.reliability.load import NO_ANSWER, Answer, Client, capacity, loaded
from loadtests.reliability.pairs import Pair, csmf_index, find_pairs
from loadtests.reliability.running import RunningService, ServiceError, one_core
from loadtests.reliability.soak_figures import Look, Slice, growth, latency
from loadtests.reliability.weights import Operator
from loadtests.verdict import Threshold

WEIGHTS_EVERY, CHANGES_EVERY, SWAP_EVERY = 1 / 60, 2.5 / 60, 5 / 60  # of the run: an hour's minutes
CAPACITIES, MEASURED = 12, 5 / 3600  # so many before the run, each for this part of its time
SLICES = 60  # of the run
LOOKS = 360  # at memory and files
SHOWN = 50, 99  # percentiles
AT_ONCE = 16
PROBE, PROBES = 10_000, 9
TURN = 5 / 3600  # of the run's time: one service's, when two are compared
CHANGED = 30  # rows of a change
WEIGHTS = {"exposure": 1.0, "click": 1.0, "conversion": 1.0}
FLAGS = ("--releases-poll-s", "0.5", "--max-in-flight", "1000", "--workers")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of this experiment."""
    add = parser.add_argument
    add("--minutes", type=float, default=60, help="(default: %(default)s)")
    add("--items", type=int, default=50_000, help="of the pairs (default: %(default)s)")
    add("--workers", type=int, default=2, help="of the service (default: %(default)s)")
    add("--share", type=float, default=0.7, help="of the capacity to load (default: %(default)s)")
    add("--rate", type=float, help="requests a second, whatever the capacity")
    add("--k", type=int, default=100, help="items of each answer (default: %(default)s)")


def thresholds(_: argparse.Namespace) -> list[Threshold]:
    """What must be reached."""
    return [
        Threshold("soak", "failed_requests", at_most=0),
        Threshold("soak", "failed_commands", at_most=0),
        Threshold("soak", "workers_that_died", at_most=0),
        Threshold("soak", "resident_growth", at_most=0.05),
        Threshold("soak", "proportional_growth", at_most=0.05),
        Threshold("soak", "files_growth", at_most=2),
        Threshold("soak", "aged_failed", at_most=0),
        Threshold("soak", "fresh_failed", at_most=0),
        Threshold("soak", "p99_drift", at_most=0.1),
    ]


def run(options: argparse.Namespace, work: Path) -> dict[str, float]:
    """Serve; the figures, and a plot and a table beside them."""
    if len(os.sched_getaffinity(0)) < 2:
        raise ServiceError("a soak needs two cores: one for the workers, one for who asks them")
    work.mkdir(parents=True, exist_ok=True)
    pairs, log = _make(work, options.items)
    service = RunningService(pairs[0].releases, work, *FLAGS, str(options.workers))
    with ExitStack() as stack:
        with one_core(0):
            stack.enter_context(service)
        workers = service.workers()
        soak = Soak(service, pairs, log, 60 * options.minutes)
        with one_core(-1):
            asyncio.run(soak.run(options))
        _compare(soak, options, work / "fresh")
        died = len(set(workers) - set(service.workers()))
    if options.out:
        _keep(soak, options.out)
    return soak.figures() | {"workers_that_died": died}


def _compare(soak: Soak, options: argparse.Namespace, work: Path) -> None:
    """Ask one that just started, too; what goes wrong here does not lose the hour's figures."""
    try:
        fresh = RunningService(soak.releases, work, *FLAGS, str(options.workers))
        with ExitStack() as stack:
            with one_core(0):
                stack.enter_context(fresh)
            with one_core(-1):
                asyncio.run(soak.beside(fresh, options))
    except (ServiceError, OSError) as error:
        print(f"beside one that just started: {error}", file=sys.stderr)


class Soak:
    """A service, what is done to it, and what was seen."""

    def __init__(
        self, service: RunningService, pairs: list[Pair], log: Path, long_s: float
    ) -> None:
        self.service, self._pairs, self._log, self._long_s = service, pairs, log, long_s
        self.releases = pairs[0].releases
        self.looks, self.slices, self.done = list[Look](), list[Slice](), list[tuple[float, str]]()
        self._answered, self._failed = 0, Counter[int]()
        self._capacities = list[float]()
        self._failed_commands = 0
        self._rounds = list[Round]()

    async def run(self, options: argparse.Namespace) -> None:
        """Load, change, look."""
        client = self._client(self.service, options.k)
        await asyncio.to_thread(self._change_catalogue, 1)  # what is beside the index costs, too
        for _ in range(CAPACITIES):
            self._capacities.append(
                await capacity(client, at_once=AT_ONCE, seconds=MEASURED * self._long_s)
            )
        self._rate = options.rate or options.share * min(self._capacities)
        if not self._rate:
            raise ServiceError("no answer came while the capacity was measured: take more minutes")
        self._began = time.monotonic()
        self.slices = [Slice(self._long_s * (n + 1) / SLICES, []) for n in range(SLICES)]
        async with loaded(client, self._rate, self._add), asyncio.TaskGroup() as doing:
            doing.create_task(self._every(WEIGHTS_EVERY, "weights", self._set_weights))
            doing.create_task(self._every(CHANGES_EVERY, "catalogue", self._change_catalogue))
            doing.create_task(self._every(SWAP_EVERY, "pair", self._swap))
            doing.create_task(self._every(1 / LOOKS, "", self._look))
            await asyncio.sleep(self._long_s)
        client.close()

    async def beside(self, fresh: RunningService, options: argparse.Namespace) -> None:
        """Ask the service and one that just started, in turns."""
        both = [Contender(each, self._client(each, options.k)) for each in (self.service, fresh)]
        for each in both:
            self._operator(each.service).settle("weights", weights=WEIGHTS)
        self._rounds = await side_by_side(*both, self._rate, TURN * self._long_s)
        for each in both:
            each.client.close()

    def _client(self, service: RunningService, k: int) -> Client:
        bodies = [json.dumps({"user": user, "k": k}).encode() for user in self._pairs[0].users()]
        return Client(service.port, "/retrieve", bodies)

    async def _every(self, part: float, name: str, do: Callable[[int], None]) -> None:
        """Do something again and again, in a thread, until the end of the run."""
        for number in count(1):
            at = (number - 0.5) * part * self._long_s
            if at >= self._long_s:
                return
            await asyncio.sleep(self._began + at - time.monotonic())
            if name:
                self.done.append((time.monotonic() - self._began, name))
            try:
                await asyncio.to_thread(do, number)
            except (ServiceError, OSError) as error:  # an hour's figures are not lost for it
                print(f"{name or 'look'}, after {at:.0f} s: {error}", file=sys.stderr)
                self._failed_commands += 1

    def _set_weights(self, number: int) -> None:
        weights = {stage: k + number % 7 for stage, k in WEIGHTS.items()}
        self._operator(self.service).settle("weights", weights=weights)

    def _operator(self, service: RunningService) -> Operator:
        return Operator(service.port, "default", WEIGHTS)

    def _change_catalogue(self, number: int) -> None:
        """Other prices and some items gone, or all as it was."""
        rows = pq.read_table(self._log / "items.parquet").slice(0, CHANGED).to_pylist()
        for place, row in enumerate(rows):
            row["price"] *= 1 + number % 2
            row["removed"] = place < CHANGED // 3 and number % 2 == 1
        path = self._log / "changes.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path)
        release = self._pairs[0].releases / self._pairs[0].run_id
        csmf_index("--release", str(release), "--changes", str(path), nice=10)

    def _swap(self, number: int) -> None:
        pair = self._pairs[number % len(self._pairs)]
        release = pair.releases / pair.run_id
        csmf_index("--release", str(release), "--rollback", pair.build_id, nice=10)

    def _look(self, _: int) -> None:
        memory = self.service.memory()
        files = sum(len(list(Path(f"/proc/{worker}/fd").iterdir())) for worker in memory)
        resident = sum(each.resident for each in memory.values())
        proportional = sum(each.proportional for each in memory.values())
        seen = (resident, proportional, files, _probe_ms())
        self.looks.append(Look(time.monotonic() - self._began, *seen))

    def _add(self, answer: Answer) -> None:
        self._answered += 1
        if answer.status != 200:
            self._failed[answer.status] += 1
        place = int((answer.due - self._began) / self._long_s * SLICES)
        self.slices[min(place, SLICES - 1)].milliseconds.append(1e3 * answer.seconds)

    def figures(self) -> dict[str, float]:
        """All of it in numbers."""
        return {
            "minutes": self._long_s / 60,
            "capacity_per_s_at_least": round(min(self._capacities), 1),
            "capacity_per_s": round(statistics.median(self._capacities), 1),
            "capacity_per_s_at_most": round(max(self._capacities), 1),
            "offered_per_s": round(self._rate, 1),
            "requests": self._answered,
            "failed_requests": self._failed.total(),
            "of_these_overloaded": self._failed[503],
            "of_these_unanswered": self._failed[NO_ANSWER],
            "failed_commands": self._failed_commands,
            **{f"changes_of_{name}": sum(n == name for _, n in self.done)
               for name in ("weights", "catalogue", "pair")},
            **latency(self.slices),
            **growth(self.looks),
            **drift(self._rounds, random.Random(1)),
        }  # fmt: skip


def _probe_ms() -> float:
    """How long the machine takes, right now, for what always is the same work."""
    took = []
    for _ in range(PROBES):
        began = time.perf_counter()
        sum(number * number for number in range(PROBE))
        took.append(time.perf_counter() - began)
    return 1e3 * min(took)


def _keep(soak: Soak, out: Path) -> None:
    """A plot, and tables of what it shows, for people."""
    from loadtests.reliability.soak_plot import plot_soak  # noqa: PLC0415  matplotlib takes seconds

    out.mkdir(parents=True, exist_ok=True)
    minutes = [look.second / 60 for look in soak.looks]
    known = [each for each in soak.slices if len(each.milliseconds) > 1]
    ends = [each.second / 60 for each in known]
    plot_soak(
        {f"{part}%": (ends, [each.percentile(part) for each in known]) for part in SHOWN},
        {"probe": (minutes, [look.probe_ms for look in soak.looks])},
        {name: (minutes, [getattr(look, name) / 2**20 for look in soak.looks])
         for name in ("resident", "proportional")},
        {"open files": (minutes, [look.files for look in soak.looks])},
        [second / 60 for second, name in soak.done if name == "pair"],
        out / "soak.png",
    )  # fmt: skip
    _table(out / "soak.csv", (field.name for field in fields(Look)), map(astuple, soak.looks))
    _table(
        out / "soak_latency.csv",
        ("second", "requests", *(f"p{part}_ms" for part in SHOWN)),
        ((each.second, len(each.milliseconds), *(round(each.percentile(part), 2) for part in SHOWN))
         for each in known),
    )  # fmt: skip


def _table(path: Path, header: Iterable[str], rows: Iterable[Iterable[float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _make(work: Path, items: int) -> tuple[list[Pair], Path]:
    """Two builds of one release, of which the first is published; and its log."""
    from tests.support.release import make_release  # noqa: PLC0415  none can be given

    release = make_release(work, items=items)
    options = ("--log", str(release.log), "--attributes", "brand,price", "--threads", "1")
    for seed in ("0", "1"):
        csmf_index("--release", str(release.directory), *options, "--seed", seed)
    return find_pairs(release.releases), release.log
