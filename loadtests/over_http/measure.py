"""What is measured: who takes turns, and what comes of it.

Decisions
- Everything of a comparison shares a core: the work in one process, a worker and whoever asks it.
  Over HTTP the client's part is paid like the worker's.
- A ratio is taken of two turns of one round, so that both meet the same machine; a figure is the
  median of its rounds.
- Where other programs use the cores, some figures hold longer than the rest: `one_loop_…`, of one
  process (oneloop.py), its p25 and p5 more than its p50, and `…_cpu_ratio`, of processor time.
- Two workers have two cores and a client on each, one worker one core and one client.
- Under load the client has the other core: how late an answer is must not depend on who asks.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path

from loadtests.over_http.oneloop import on_one_loop
from loadtests.over_http.side import Side, Turn, cpu_s, pin
from loadtests.over_http.visible import set_weights, staleness
from loadtests.reliability.openloop import Offer, offered
from loadtests.reliability.pairs import Pair
from loadtests.reliability.running import RunningService

AT_ONCE = 8  # connections of each client
LOAD = 0.7  # of what a worker can do
OWN_WEIGHTS = "weighted"  # a scenario whose weights an operator set, to those of the bundle
Figures = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """How much to measure, and where."""

    cores: tuple[int, int]
    rounds: int
    turn_s: float
    load_s: float
    changes: int
    flags: tuple[str, ...] = ()  # of csmf-serve


class Service:
    """A running service with its workers each on a core."""

    def __init__(self, running: RunningService, cores: list[int]) -> None:
        self.port, self.workers = running.port, running.workers()
        for worker, core in zip(self.workers, cores, strict=True):
            pin(worker, core)

    def cpu_s(self) -> float:
        """Processor time of its workers so far."""
        return sum(map(cpu_s, self.workers))


@contextmanager
def service(pair: Pair, work: Path, cores: list[int], plan: Plan) -> Iterator[Service]:
    """A csmf-serve of the pair with a worker on each of the cores."""
    work.mkdir(parents=True, exist_ok=True)
    flags = ("--workers", str(len(cores)), "--recall-floor", "1")
    with RunningService(pair.releases, work, *flags, *plan.flags) as running:
        yield Service(running, cores)


def measure(pair: Pair, k: int, plan: Plan, work: Path) -> Figures:
    """All figures of one list length."""
    bodies = [json.dumps({"user": user, "k": k}) for user in pair.users()]
    one, two = plan.cores
    state = str(work / "one-loop")
    figures = on_one_loop(str(pair.releases), state, bodies, one, plan.load_s)
    with ExitStack() as stack:
        single = stack.enter_context(service(pair, work / "one", [one], plan))
        double = stack.enter_context(service(pair, work / "two", [one, two], plan))
        rounds = _rounds(pair, bodies, single, double, plan, work)
        figures |= {name: statistics.median(seen) for name, seen in rounds.items()}
        figures |= _under_load(single, bodies, plan)
    return {name: round(value, 4) for name, value in figures.items()}


def _rounds(
    pair: Pair, bodies: list[str], single: Service, double: Service, plan: Plan, work: Path
) -> dict[str, list[float]]:
    """Each figure in each round."""
    one, two = plan.cores
    set_weights(HTTPConnection("127.0.0.1", single.port), OWN_WEIGHTS, 1.0)
    own = [json.dumps({**json.loads(body), "scenario": OWN_WEIGHTS}) for body in bodies]
    state, asking = str(work / "state"), "loadtests.over_http.asking"

    def client(port: int, connections: int, core: int, asked: list[str] = bodies) -> Side:
        told = {"port": port, "bodies": asked, "connections": connections}
        return Side(asking, told, core)

    reference = {"releases": str(pair.releases), "state": state, "bodies": bodies}
    sides = {
        "inprocess": Side("loadtests.over_http.inprocess", reference, one),
        "alone": client(single.port, 1, one),
        "weighted": client(single.port, 1, one, own),
        "many": client(single.port, AT_ONCE, one),
        "first": client(double.port, AT_ONCE, one),
        "second": client(double.port, AT_ONCE, two),
    }
    seen = defaultdict(list)
    try:
        for side in ("inprocess", "alone", "weighted", "many", "first"):
            sides[side].turn(plan.turn_s)  # not counted
        for _ in range(plan.rounds):
            for name, value in _round(sides, single, plan.turn_s).items():
                seen[name].append(value)
    finally:
        for side in sides.values():
            side.close()
    return seen


def _round(sides: dict[str, Side], single: Service, turn_s: float) -> Figures:
    """A turn of each, and how they compare."""
    inprocess = sides["inprocess"].turn(turn_s)
    alone, alone_cpu_s = _with_worker(sides["alone"], single, turn_s)
    weighted = sides["weighted"].turn(turn_s)
    many, many_cpu_s = _with_worker(sides["many"], single, turn_s)
    sides["first"].begin(turn_s)
    sides["second"].begin(turn_s)
    both = sides["first"].end().rate + sides["second"].end().rate
    own_s = inprocess.cpu_s / inprocess.requests
    return {
        "inprocess_p50_ms": 1e3 * inprocess.p50_s,
        "inprocess_per_s": inprocess.rate,
        "p50_ms": 1e3 * alone.p50_s,
        "p50_ratio": alone.p50_s / inprocess.p50_s,
        "p50_cpu_ratio": (alone_cpu_s + alone.cpu_s) / alone.requests / own_s,
        "weighted_p50_ratio": weighted.p50_s / alone.p50_s,
        "per_s": many.rate,
        "throughput_ratio": many.rate / inprocess.rate,
        "throughput_cpu_ratio": own_s / ((many_cpu_s + many.cpu_s) / many.requests),
        "inprocess_cpu_us": 1e6 * own_s,
        "worker_cpu_us": 1e6 * many_cpu_s / many.requests,
        "client_cpu_us": 1e6 * many.cpu_s / many.requests,
        "client_share": many.cpu_s / (many_cpu_s + many.cpu_s),
        "two_workers": both / many.rate,
    }


def _with_worker(side: Side, asked: Service, turn_s: float) -> tuple[Turn, float]:
    """A turn, and what the worker spent on it."""
    before = asked.cpu_s()
    turn = side.turn(turn_s)
    return turn, asked.cpu_s() - before


def _under_load(single: Service, bodies: list[str], plan: Plan) -> Figures:
    """Answers at fixed times, at 70 % of what the worker can do."""
    seconds, core = plan.load_s, plan.cores[1]
    offer = Offer(single.port, "/retrieve", bodies, seconds, core=core, at_once=AT_ONCE)
    capacity = offered(offer)["goodput_per_s"]
    seen = offered(replace(offer, at_once=0, rate=LOAD * capacity))
    figures = {name: seen[name] for name in ("p50_ms", "p99_ms", "sent_late_p99_ms", "failed")}
    figures["p99_of_p50"] = round(seen["p99_ms"] / seen["p50_ms"], 3)
    return {"capacity_per_s": capacity} | {f"load70_{name}": figures[name] for name in figures}


def measure_visibility(pair: Pair, plan: Plan, work: Path) -> Figures:
    """How long two workers still answer with older weights."""
    with service(pair, work / "visible", list(plan.cores), plan) as asked:
        waits = staleness(asked.port, asked.workers, plan.changes)
    waits_ms = sorted(1e3 * wait for wait in waits)
    return {
        "visible_p50_ms": round(statistics.median(waits_ms), 2),
        "visible_p99_ms": round(waits_ms[int(0.99 * (len(waits_ms) - 1))], 2),
    }
