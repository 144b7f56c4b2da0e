"""Publish one pair after the other under load: does any request fail, or mix two pairs?

Decisions
- What each pair answers to each query is recorded before, while only that pair is served. Under
  load every answer must be, item by item and score by score, the one of the pair it names: a tower
  of one run with the index, ids or vectors of another would give other scores.
- A swap counts as done when every worker has logged that it serves the new pair: to scrape the
  metrics that often would be a load of its own.
- Memory is judged after the tenth swap: by then every size of buffer has been asked for once.
  Growth compares the last ten swaps with the first ten after it. It is read at the end of each
  pause: a worker gives the memory of the old pair back a second after the swap.
- The rate is a share of what the service answered to clients that never pause, measured before each
  ROUND of swaps: a machine that is shared is not as fast now as it was a minute ago. Load without
  swaps says what of the latency is the swaps', and whether the machine is free enough to tell.
- Searches are never cut short: a shorter search finds another list, which would be of no pair.
- Requests may queue for longer than by default: clients, loading and service share the machine, and
  what is refused because a core is not free would say nothing about swaps.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.reliability.load import NO_ANSWER, Answer, Client, capacity, loaded
from loadtests.reliability.pairs import Pair, find_pairs, make_runs
from loadtests.reliability.running import RunningService, ServiceError
from loadtests.verdict import Threshold

SETTLED = 10  # swaps after which memory must not grow
AT_ONCE = 16
SWAP_S = 120.0
BEARABLE_MS = 100.0  # half of the requests take less, without swaps
ROUND = 10  # swaps at one rate
SETTINGS = ("--max-shrink", "1", "--releases-poll-s", "0.2", "--max-in-flight", "1000")
WHOLE = ("--recall-floor", "1")  # a list that was cut short would be one of no pair
Key = tuple[object, ...]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of this experiment."""
    add = parser.add_argument
    add("--releases", type=Path, help="folder with two pairs or more; default: two made here")
    add("--items", type=int, default=50_000, help="of the pairs made here (default: %(default)s)")
    add("--swaps", type=int, default=100, help="(default: %(default)s)")
    add("--pause", type=float, default=1.5, help="seconds between swaps (default: %(default)s)")
    add("--calm", type=float, default=10, help="seconds of load before (default: %(default)s)")
    add("--workers", type=int, default=2, help="of the service (default: %(default)s)")
    add("--share", type=float, default=0.7, help="of the capacity to load (default: %(default)s)")
    add("--rate", type=float, help="requests a second, whatever the capacity")
    add("--k", type=int, default=100, help="items of each answer (default: %(default)s)")


def thresholds(options: argparse.Namespace) -> list[Threshold]:
    """What must be reached."""
    judged = [
        Threshold("swaps", "swaps", at_least=options.swaps),
        Threshold("swaps", "failed_requests", at_most=0),
        Threshold("swaps", "answers_of_no_pair", at_most=0),
    ]
    if options.swaps >= 3 * SETTLED:
        judged.append(Threshold("swaps", "memory_growth", at_most=0.05))
    return judged


def run(options: argparse.Namespace, work: Path) -> dict[str, float]:
    """Swap under load; the figures."""
    work.mkdir(parents=True, exist_ok=True)
    releases = options.releases or make_runs(work, ["red", "blue"], options.items)
    pairs = find_pairs(releases)
    if len(pairs) < 2:
        raise ServiceError(f"{releases}: expected two pairs at least, found {len(pairs)}")
    flags = [*SETTINGS, *WHOLE, "--workers", str(options.workers)]
    with RunningService(releases, work, *flags) as service:
        return asyncio.run(_experiment(options, service, pairs))


@dataclass
class Seen:
    """What the clients were answered."""

    expected: dict[str, list[Key]]  # by pair, the answer to each query
    right: dict[tuple[int, bytes], str] = field(default_factory=dict)  # seen before: whose it is
    statuses: Counter[int] = field(default_factory=Counter)
    of_no_pair: int = 0
    by_pair: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def add(self, answer: Answer) -> None:
        """Count one."""
        self.statuses[answer.status] += 1
        self.seconds.append(answer.seconds)
        if answer.status == 200:
            told = answer.query, answer.body.partition(b'"timings_ms"')[0]
            pair = self.right.get(told) or self._judged(told, answer.body)
            self.by_pair[pair] += 1

    def _judged(self, told: tuple[int, bytes], body: bytes) -> str:
        """The pair that an answer names; one that is right need not be read again."""
        pair, key = _key(body)
        if key == self.expected[pair][told[0]]:
            self.right[told] = pair
        else:
            self.of_no_pair += 1
        return pair

    def figures(self) -> dict[str, float]:
        """Of all answers."""
        requests = self.statuses.total()
        return {
            "requests": requests,
            "failed_requests": requests - self.statuses[200],
            "of_these_overloaded": self.statuses[503],
            "of_these_unanswered": self.statuses[NO_ANSWER],
            "answers_of_no_pair": self.of_no_pair,
            "least_answers_of_a_pair": min(self.by_pair[pair] for pair in self.expected),
            "p50_ms": round(1e3 * statistics.median(self.seconds), 2),
            "p99_ms": round(1e3 * statistics.quantiles(self.seconds, n=100)[98], 2),
        }


def _key(body: bytes) -> tuple[str, Key]:
    """The pair that an answer names, and all that the pair decides of it."""
    answer = json.loads(body)
    pair = f"{answer['run_id']}/{answer['build_id']}"
    return pair, (answer["item_ids"], answer["scores"], answer["objective_scores"])


async def _experiment(
    options: argparse.Namespace, service: RunningService, pairs: list[Pair]
) -> dict[str, float]:
    queries = [
        json.dumps({"user": user, "k": options.k, "objective_scores": True}).encode()
        for user in pairs[0].users()
    ]
    client = Client(service.port, "/retrieve", queries)
    turns = [*pairs[1:], pairs[0]]  # the first is served from the start
    expected = {pair.name: await _answers(service, client, pair) for pair in turns}
    _check_telling(expected)
    most, rate = await _rate(options, client)
    calm, seen, took, private = Seen(expected), Seen(expected), [], []
    async with loaded(client, rate, calm.add):
        await asyncio.sleep(options.calm)
    _check_bearable(calm.figures(), rate)
    capacities, rates = [], []
    for first in range(0, options.swaps, ROUND):
        most, rate = await _rate(options, client)
        capacities.append(most)
        rates.append(rate)
        async with loaded(client, rate, seen.add):
            for number in range(first, min(first + ROUND, options.swaps)):
                took.append(await _swap(service, turns[number % len(turns)]))
                await asyncio.sleep(options.pause)
                private.append(max(memory.private for memory in service.memory().values()))
    client.close()
    return {
        "swaps": len(took),
        "seconds_per_swap": round(statistics.median(took), 2),
        "capacity_per_s": round(statistics.median(capacities), 1),
        "offered_per_s": round(statistics.median(rates), 1),
        **{f"{name}_without_swaps": calm.figures()[name] for name in ("p50_ms", "p99_ms")},
        **seen.figures(),
        **_memory(private),
    }


async def _rate(options: argparse.Namespace, client: Client) -> tuple[float, float]:
    """What the service can do now, and what of it is asked."""
    most = await capacity(client, at_once=AT_ONCE, seconds=options.calm / 2)
    return most, options.rate or options.share * most


async def _answers(service: RunningService, client: Client, pair: Pair) -> list[Key]:
    """What a pair answers while it is the only one."""
    await _swap(service, pair)
    answers = [await client.ask(query, time.monotonic()) for query in range(client.queries)]
    named = {_key(answer.body)[0] for answer in answers if answer.status == 200}
    if named != {pair.name} or any(answer.status != 200 for answer in answers):
        shown = f"{answers[0].body[:200]!r}"
        raise ServiceError(f"{pair.name} does not answer its own golden users: {shown}")
    return [_key(answer.body)[1] for answer in answers]


def _check_telling(expected: dict[str, list[Key]]) -> None:
    """An answer shows whether pairs were mixed only if they answer differently."""
    for query, keys in enumerate(zip(*expected.values(), strict=True)):
        if any(key in keys[:number] for number, key in enumerate(keys)):
            raise ServiceError(f"two pairs answer query {query} alike: nothing would show a mix")


def _check_bearable(calm: dict[str, float], rate: float) -> None:
    """A machine that is too busy for the load without swaps says nothing about swaps."""
    if calm["failed_requests"] or calm["p50_ms"] > BEARABLE_MS:
        raise ServiceError(
            f"{rate:.0f} requests a second are too many for this machine even without swaps: "
            f"{calm['failed_requests']} failed, half took {calm['p50_ms']:.0f} ms; give a --rate"
        )


async def _swap(service: RunningService, pair: Pair) -> float:
    """Publish a pair and wait until every worker serves it; the seconds that took."""
    began, says = time.monotonic(), f"now serving {pair.name},"
    due = service.logged(says) + len(service.workers())
    pair.publish()
    while service.logged(says) < due:
        if time.monotonic() - began > SWAP_S:
            raise ServiceError(f"{pair.name} was not served by all workers in {SWAP_S:g} s")
        await asyncio.sleep(0.05)
    return time.monotonic() - began


def _memory(private: list[int]) -> dict[str, float]:
    """Of the largest worker, once every kind of buffer has been asked for."""
    if len(private) < 3 * SETTLED:
        return {"private_mb": round(private[-1] / 2**20, 1)}
    early, late = (
        statistics.median(part) for part in (private[SETTLED : 2 * SETTLED], private[-SETTLED:])
    )
    return {
        "private_mb_after_tenth_swap": round(early / 2**20, 1),
        "private_mb": round(late / 2**20, 1),
        "memory_growth": round(late / early - 1, 4),
    }
