"""How fast one core trains: our exposure stage beside two libraries, and each phase of the cascade.

    with open_peer(python, "dssm", log) as peer:
        contenders = contest(data, read_seconds, [peer], steps=40, rounds=5)
    rates = phase_rates(data, sample=40, rounds=5)

Decisions
- One core, one run, rounds that alternate: in each, every contender trains a few steps. Rates are
  medians over rounds; ratios are medians of the ratio within a round, since whatever else the
  machine does slows a round's contenders alike. Seconds are the processor's, for the same reason.
- A peer is a process of its own, in an environment of its own (`peer.py`): it never becomes a
  dependency. Without `--peer-python` the page has our rows only.
- A phase's seconds are its steps at the rate of a sample of them, so that long logs need no whole
  run. Phases follow each other on one network, pruned as in a run; each takes turns with a second
  network's exposure stage, and is timed as so many of its steps.
- One objective with equal exposure epochs passes over the exposures as often as CSMF does, recovery
  included.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import torch

from training.config import TrainConfig
from training.data import TrainingData
from training.errors import ConfigError
from training.methods.csmf import Csmf
from training.paper.speed.page import Contender, PhaseRate
from training.paper.speed.step_profile import shares
from training.phase import Phase

PROFILED = 20  # steps
Train = Callable[[int], tuple[int, float]]  # steps → examples seen, seconds


@dataclass(frozen=True)
class Peer:
    """A trainer that has read the log and waits."""

    name: str
    read_seconds: float
    train: Train


def contest(
    data: TrainingData, read_seconds: float, peers: Sequence[Peer], steps: int, rounds: int
) -> list[Contender]:
    """Our exposure stage, as it is and lean, and the peers; `read_seconds` are ours."""
    default = TrainConfig()
    in_batch = default.first.model_copy(update={"request_negatives": 0})
    settings = {"ours": default, "ours-lean": default.model_copy(update={"first": in_batch})}
    entered = [
        Peer(name, read_seconds, _trainer(Csmf(data, config).phases()[0])[0])
        for name, config in settings.items()
    ]
    entered += peers
    for each in entered:
        each.train(steps)  # warm up
    done = [[each.train(steps) for each in entered] for _ in range(rounds)]
    return [
        Contender(
            each.name,
            each.read_seconds,
            [made[place][0] / made[place][1] for made in done],
        )
        for place, each in enumerate(entered)
    ]


def _trainer(phase: Phase) -> tuple[Train, int]:
    """Trains steps of a phase, one after the other, round and round; and how many it has."""
    steps, done = phase.start(), 0
    optimiser = torch.optim.Adam(steps.parameters, lr=phase.learning_rate, fused=True)

    def train(count: int) -> tuple[int, float]:
        nonlocal done
        examples, began = 0, time.process_time()
        for _ in range(count):
            loss = steps.loss(done % steps.count)
            optimiser.zero_grad()
            loss.total.backward()  # type: ignore[no-untyped-call]  # torch ships it untyped
            optimiser.step()
            examples, done = examples + loss.examples, done + 1
        return examples, time.process_time() - began

    return train, steps.count


def phase_rates(data: TrainingData, sample: int, rounds: int) -> list[PhaseRate]:
    """What every phase of the cascade takes, from `rounds` samples of its steps."""
    config = TrainConfig()
    exposure, _ = _trainer(Csmf(data, config).phases()[0])
    found, unit = [], []
    for phase in Csmf(data, config).phases():
        train, steps = _trainer(phase)
        count = min(sample, steps)
        train(1)  # warm up
        blocks = [(train(count), exposure(count)) for _ in range(rounds)]
        unit += [seconds / count for _, (_, seconds) in blocks]
        cost = steps * median(own[1] / reference[1] for own, reference in blocks)
        examples = steps * sum(own[0] for own, _ in blocks) / (rounds * count)
        where = shares(partial(train, min(PROFILED, steps)))
        found.append(PhaseRate(phase.name, steps, round(examples), cost, where))
        phase.finish()
    return [replace(each, seconds=each.seconds * median(unit)) for each in found]


@contextmanager
def open_peer(python: Path, name: str, log: Path) -> Iterator[Peer]:
    """Start a peer, wait until it has read the log, end it in the end. Raises ConfigError."""
    script = Path(__file__).with_name("peer.py")
    command = [str(python), str(script), name, str(log), str(TrainConfig().first.batch_size)]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(  # noqa: S603  # the interpreter that the user names
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        ) as process,
    ):

        def answer(line: str | None) -> dict[str, float]:
            assert process.stdin is not None  # noqa: S101  # both are pipes
            assert process.stdout is not None  # noqa: S101
            if line is not None:
                process.stdin.write(f"{line}\n")
                process.stdin.flush()
            text = process.stdout.readline()
            if not text:
                said.seek(0)
                last = (said.read().strip().splitlines() or ["no word"])[-1]
                raise ConfigError(
                    f"{name}: the peer ended with: {last}. --peer-python is the interpreter of an "
                    "environment with torch-rechub and replay-rec[torch]"
                )
            found: dict[str, float] = json.loads(text)
            return found

        def train(count: int) -> tuple[int, float]:
            done = answer(str(count))
            return int(done["examples"]), done["seconds"]

        try:
            yield Peer(name, answer(None)["read_seconds"], train)
        finally:
            process.kill()
