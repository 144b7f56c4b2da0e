"""Offer a worker up to five times what it can do: how many are answered, how fast, who is refused?

Decisions
- One worker on one core, the client on another: what a worker does must not depend on who asks.
  Requests are due at random times, whatever the service does (openloop.py).
- Capacity is what a worker answers at full service to a few clients that never pause; unloaded is a
  tenth of it. Full service is a worker with a recall floor of 1: its searches are not cut short. It
  runs beside the one that is judged, on the same core, and idles while that is under load: a worker
  that has just been overloaded still searches less, and its own capacity would be another.
- A machine that is shared is not as fast now as it was a minute ago, so the load follows the
  capacity found right before it, goodput is held against that before and that after, and each
  figure is the median over rounds of all loads; failures are added up.
- Loads go upwards, so that none finds the worker in the state that a higher one left behind. The
  first seconds of each are not counted: so long the worker takes to see what happens to it.
- Judged is the service as it is shipped, with steps of effort: at five times the capacity the time
  of an answer, the number of answers and the time of a refusal.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from loadtests.plot import plot_overload
from loadtests.reliability.openloop import Offer, offered
from loadtests.reliability.pairs import find_pairs, make_runs
from loadtests.reliability.running import RunningService, ServiceError, one_core
from loadtests.verdict import Threshold

LOADS = "0.5,0.8,1,1.5,2,3,5"
UNLOADED = 0.1
AT_ONCE = 4  # more than one thread and the event loop can use
SERVICES = {"full": 1.0, "steps": 0.8}  # recall floors
Figures = dict[str, float]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of this experiment."""
    add = parser.add_argument
    add("--releases", type=Path, help="whose current pair to serve; default: one made here")
    add("--items", type=int, default=200_000, help="of the pair made here (default: %(default)s)")
    add("--k", type=int, default=100, help="items of each answer (default: %(default)s)")
    add("--loads", type=_loads, default=LOADS, help="of capacity (default: %(default)s)")
    add("--rounds", type=int, default=3, help="of all loads (default: %(default)s)")
    add("--seconds", type=float, default=8, help="of each load (default: %(default)s)")
    add("--settle", type=float, default=3, help="of these, not counted (default: %(default)s)")
    add("--flags", default="", help="more flags of csmf-serve, such as '--deadline-ms 20'")


def _loads(text: str) -> list[float]:
    return sorted(float(load) for load in text.split(","))


def thresholds(options: argparse.Namespace) -> list[Threshold]:
    """What must be reached."""
    worst = f"steps_{options.loads[-1]:g}x"
    return [
        Threshold("overload", f"{worst}_p99_of_unloaded", at_most=2),
        Threshold("overload", f"{worst}_goodput_of_capacity", at_least=0.9),
        Threshold("overload", f"{worst}_refused_p99_ms", at_most=10),
        Threshold("overload", "failed", at_most=0),
    ]


def run(options: argparse.Namespace, work: Path) -> Figures:
    """Offer each load; the figures, and a picture of them."""
    work.mkdir(parents=True, exist_ok=True)
    pair = find_pairs(options.releases or make_runs(work, ["overload"], options.items))[0]
    bodies = [json.dumps({"user": user, "k": options.k}) for user in pair.users()]
    flags = ["--workers", "1", *options.flags.split()]
    with ExitStack() as stack:
        with one_core(0):
            ports = {
                name: stack.enter_context(
                    RunningService(pair.releases, work / name, *flags, "--recall-floor", str(floor))
                ).port
                for name, floor in SERVICES.items()
            }
        full = Offer(ports["full"], "/retrieve", bodies, options.seconds, options.settle)
        full = replace(full, core=max(os.sched_getaffinity(0)))
        rounds = [_round(full, ports, options.loads) for _ in range(options.rounds)]
    figures = {
        name: round(statistics.median(each[name] for each in rounds), 3) for name in rounds[0]
    }
    figures["failed"] = sum(each["failed"] for each in rounds)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        plot_overload(figures, list(SERVICES), options.loads, options.out / "overload.png")
    return figures


def _round(full: Offer, ports: Mapping[str, int], loads: Sequence[float]) -> Figures:
    """Every load once, on each service."""
    figures = _unloaded(full)
    for name, port in ports.items():
        before = _capacity(full)
        for load in loads:
            seen = offered(replace(full, port=port, rate=load * before))
            after = _capacity(full)
            around = statistics.fmean((before, after))
            figures |= _named(f"{name}_{load:g}x", seen, around, figures["unloaded_p99_ms"])
            before = after
    return figures | {"failed": sum(n for name, n in figures.items() if name.endswith("_failed"))}


def _unloaded(offer: Offer) -> Figures:
    """Capacity, and the times of a worker that is hardly asked."""
    capacity = statistics.median(_capacity(offer) for _ in range(3))
    seen = offered(replace(offer, rate=UNLOADED * capacity))
    times = {f"unloaded_{name}": seen[name] for name in ("p50_ms", "p99_ms", "sent_late_p99_ms")}
    return {"capacity_per_s": capacity, **times}


def _capacity(offer: Offer) -> float:
    """Answers a second to callers that never pause, in half the time. Raises ServiceError."""
    halved = {"seconds": offer.seconds / 2, "unmeasured": offer.unmeasured / 2}
    capacity = offered(replace(offer, at_once=AT_ONCE, **halved))["goodput_per_s"]
    if not capacity:
        raise ServiceError("no request was answered while the service was otherwise idle")
    return capacity


def _named(
    name: str, seen: Mapping[str, float], capacity: float, unloaded_p99_ms: float
) -> Figures:
    compared = {
        "capacity_per_s": round(capacity, 1),
        "goodput_of_capacity": round(seen["goodput_per_s"] / capacity, 3),
        "p99_of_unloaded": round(seen["p99_ms"] / unloaded_p99_ms, 3),
    }
    return {f"{name}_{figure}": value for figure, value in {**seen, **compared}.items()}
