"""Is a service that has long served slower than one that has just started?

    rounds = await side_by_side(Contender(aged, ...), Contender(fresh, ...), rate, turn_s)
    drift(rounds, random.Random(1))        {"p99_drift": .02, ...}

Decisions
- Both serve the same pair on the same core; they are asked in turns of seconds, at one rate, and in
  a round at the same moments. What else the machine does is in both alike: on one that is shared it
  makes p99 three times as long for minutes, so that two quarters of an hour cannot be compared.
- They take turns strictly, so that each has rested for as long as the other when it is asked.
- The drift is the median, over rounds, of the aged one's p99 by the fresh one's, less one. How far
  chance moves that is told by drawing the rounds anew: nine in ten draws lie between the bounds.
- What a request costs the workers' processor is compared likewise: it tells smaller differences.
- The first rounds are not counted: the fresh one has to be asked before it is as warm.
"""

from __future__ import annotations

import math
import os
import random
import statistics
from asyncio import sleep
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.reliability.load import Answer, Client, loaded
from loadtests.reliability.running import RunningService
from loadtests.reliability.soak_figures import percentile

ROUNDS, WARM = 100, 4
DRAWS = 400
TICK = 1e-3  # where the kernel counted nothing


@dataclass(frozen=True)
class Contender:
    """A service, and who asks it."""

    service: RunningService
    client: Client


@dataclass(frozen=True)
class Turn:
    """What one service did in its turn of a round."""

    p99_ms: float
    processor_ms: float  # of all workers, a request
    requests: int
    failed: int


Round = tuple[Turn, Turn]  # the aged one's, the fresh one's


async def side_by_side(
    aged: Contender, fresh: Contender, rate: float, turn_s: float
) -> list[Round]:
    """Ask both in turns; the rounds that count, of which each has answered something."""
    rounds = [
        (
            await _turn(aged, rate, turn_s, seed),
            await _turn(fresh, rate, turn_s, seed),
        )
        for seed in range(WARM + ROUNDS)
    ]
    return [each for each in rounds[WARM:] if all(turn.requests for turn in each)]


async def _turn(contender: Contender, rate: float, turn_s: float, seed: int) -> Turn:
    answers, before = list[Answer](), _processor_s(contender.service)
    async with loaded(contender.client, rate, answers.append, seed):
        await sleep(turn_s)
    took, asked = _processor_s(contender.service) - before, max(len(answers), 1)
    return Turn(
        percentile([1e3 * answer.seconds for answer in answers], 99),
        1e3 * took / asked,
        len(answers),
        sum(answer.status != 200 for answer in answers),
    )


def _processor_s(service: RunningService) -> float:
    """Of all its workers so far; the kernel counts in hundredths of a second."""
    ticks = 0
    for worker in service.workers():
        after_name = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])  # in user's and kernel's mode
    return ticks / os.sysconf("SC_CLK_TCK")


def drift(rounds: Sequence[Round], chance: random.Random) -> dict[str, float]:
    """How much slower the aged one is, and by how much chance moves that."""
    figures: dict[str, float] = {"rounds": len(rounds)}
    if not rounds:
        return figures | {"aged_failed": 0, "fresh_failed": 0, "p99_drift": math.inf}
    for place, name in enumerate(("aged", "fresh")):
        turns = [each[place] for each in rounds]
        figures |= {
            f"{name}_requests": sum(turn.requests for turn in turns),
            f"{name}_failed": sum(turn.failed for turn in turns),
            f"{name}_p99_ms": round(statistics.median(turn.p99_ms for turn in turns), 2),
            f"{name}_processor_ms": round(statistics.median(t.processor_ms for t in turns), 3),
        }
    slower = [aged.p99_ms / fresh.p99_ms for aged, fresh in rounds]
    dearer = [aged.processor_ms / max(fresh.processor_ms, TICK) for aged, fresh in rounds]
    return figures | _median("p99_drift", slower, chance) | _median("cost_drift", dearer, chance)


def _median(name: str, ratios: Sequence[float], chance: random.Random) -> dict[str, float]:
    draws = sorted(
        statistics.median(chance.choices(ratios, k=len(ratios))) - 1 for _ in range(DRAWS)
    )
    return {
        name: round(statistics.median(ratios) - 1, 4),
        f"{name}_at_least": round(draws[DRAWS // 20], 4),
        f"{name}_at_most": round(draws[-DRAWS // 20], 4),
    }
