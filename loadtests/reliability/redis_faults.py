"""Harm the Redis that keeps the weights, in every way, under load: which weights serve meanwhile?

Decisions
- Each fault begins when all workers serve a version and lasts some seconds. Every answer in that
  time must be a 200 with that version; a change must be refused, not lost.
- Users' features are asked of the same Redis at each request, which must not wait for it either.
- In step again is when a change, tried again and again from the moment of return, was taken and the
  worker furthest behind serves it.
- A flush breaks no connection, so that nobody notices before the next poll: then the weights must
  be in Redis again, with all their versions.
- Then a worker is killed, and the service is restarted, while Redis is away. Requests that were on
  their way to the killed worker are lost, those of a fifth of a second at the most; all others are
  answered, by both workers with the last known weights.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path

from loadtests.reliability.asking import metric
from loadtests.reliability.load import Answer, Client, loaded
from loadtests.reliability.pairs import find_pairs, make_runs
from loadtests.reliability.redis_server import RedisServer
from loadtests.reliability.running import STARTED, RunningService, ServiceError
from loadtests.reliability.weights import Operator
from loadtests.verdict import Threshold

SCENARIO = "feed"
HISTORY = f"{{csmf:weights}}:history:{SCENARIO}"  # in Redis, a stream
IN_STEP_S = 2.0
GIVE_UP_S = 60.0
LOGGED = 20_000  # characters of the log that tell of a fault
AROUND_S = 0.1  # of a kill, in which a connection may still look sound to its client
FLAGS = ("--workers", "2", "--max-in-flight", "1000", "--weights-poll-s")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of this experiment."""
    add = parser.add_argument
    add("--releases", type=Path, help="folder with a published pair; default: one made here")
    add("--rate", type=float, default=50.0, help="requests a second (default: %(default)s)")
    add("--hold", type=float, default=6, help="seconds of each fault (default: %(default)s)")
    add("--poll", type=float, default=1, help="CSMF_WEIGHTS_POLL_S (default: %(default)s)")
    add("--slow", type=float, default=2, help="seconds a slow command takes (default: %(default)s)")


def thresholds(options: argparse.Namespace) -> list[Threshold]:
    """What must be reached."""
    most = partial(Threshold, "redis")
    return [
        most("failed_requests", at_most=0),
        most("answers_with_other_weights", at_most=0),
        most("changes_taken_while_away", at_most=0),
        most("seconds_until_in_step_at_most", at_most=IN_STEP_S),
        most("seconds_until_put_back", at_most=options.poll + 1),
        most("requests_lost_with_a_worker", at_most=2 + options.rate / 5),
        most("workers_without_last_known_weights", at_most=0),
    ]


def run(options: argparse.Namespace, work: Path) -> dict[str, float]:
    """Harm it; the figures."""
    work.mkdir(parents=True, exist_ok=True)
    releases = options.releases or make_runs(work, ["one"], 2000)
    if options.releases is None:
        find_pairs(releases)[0].publish()
    with RedisServer(work) as store:
        flags = (*FLAGS, str(options.poll), "--redis-url", store.url, "--features-url", store.url)
        with RunningService(releases, work, *flags) as service:
            trial = Trial(service, store, options.hold)
            trial.change()
            figures = asyncio.run(_under_load(trial, options.rate, options.slow))
            store.kill()
        with RunningService(releases, work, *flags) as service:
            again = Trial(service, store, options.hold, version=trial.version)
            return figures | again.restarted() | {"faults": len(trial.late) + 2}


@dataclass
class Trial:
    """A service, its Redis, and what was seen of both."""

    service: RunningService
    store: RedisServer
    hold_s: float
    version: int = 0  # that all workers serve
    taken: int = 0  # changes while the store was away
    late: dict[str, float] = field(default_factory=dict)  # seconds until in step, by fault
    calm: list[tuple[float, float, int]] = field(default_factory=list)  # from, to, the version then
    put_back_s: float = 0.0
    killed: float = 0.0  # when the worker was

    def change(self) -> float:
        """Set weights, again and again until taken; the seconds until every worker serves them."""
        began = time.monotonic()
        while (answer := self._put())[0] != HTTPStatus.OK:
            self._wait(began, f"a change of weights: {answer}")
        self.version = answer[1]["current"]["version"]
        while self._least() != self.version:
            self._wait(began, f"version {self.version} at every worker")
        return time.monotonic() - began

    def fault(self, name: str, begin: Callable[[], None], end: Callable[[], None]) -> None:
        """Let Redis be away for a while."""
        began = time.monotonic()
        begin()
        self.taken += self._put()[0] != HTTPStatus.SERVICE_UNAVAILABLE
        time.sleep(max(0.0, began + self.hold_s - time.monotonic()))
        self.calm.append((began, time.monotonic(), self.version))
        end()
        self.late[name] = self.change()

    def flush(self) -> None:
        """Let Redis forget, and wait until it has the weights again, with all their versions."""
        began, versions = time.monotonic(), self._versions()
        self.store.flush()
        while self._versions() != versions:
            self._wait(began, "all versions of the weights in Redis")
        self.put_back_s = time.monotonic() - began
        self.calm.append((began, time.monotonic(), self.version))
        self.change()

    def kill_worker(self) -> None:
        """While Redis is away; the worker comes back."""
        victim, started = self.service.workers()[0], self.service.logged(STARTED)
        os.kill(victim, signal.SIGKILL)
        self.killed = time.monotonic()
        while self.service.logged(STARTED) == started:
            self._wait(self.killed, "another worker")

    def restarted(self) -> dict[str, float]:
        """What a service that was started without Redis serves; then Redis comes back."""
        behind = self._least() != self.version
        self.store.start()
        return {
            "workers_without_last_known_weights": int(behind),
            "seconds_until_in_step_restarted": round(self.change(), 2),
        }

    def _put(self) -> tuple[int, dict[str, object]]:
        stages = ("exposure", "click", "conversion")
        operator = Operator(self.service.port, SCENARIO, dict.fromkeys(stages, 1.0 + self.version))
        return operator.put("weights", weights=operator.weights)

    def _versions(self) -> list[object]:
        """All that Redis has of the scenario."""
        return list(self.store.client.xrange(HISTORY))

    def _least(self) -> float | None:
        return metric(self.service, f'csmf_weights_version{{scenario="{SCENARIO}"}}')

    def _wait(self, began: float, what: str) -> None:
        if time.monotonic() - began > GIVE_UP_S:
            raise ServiceError(f"waited {GIVE_UP_S:g} s for {what}; the log is {self.service.log}")
        time.sleep(0.02)


async def _under_load(trial: Trial, rate: float, slow_s: float) -> dict[str, float]:
    query = json.dumps({"scenario": SCENARIO, "user": {"user_id": "u00001"}, "k": 10}).encode()
    client, answers = Client(trial.service.port, "/retrieve", [query]), list[Answer]()
    async with loaded(client, rate, answers.append):
        await asyncio.to_thread(_all_faults, trial, slow_s)
    client.close()
    return judged(answers, trial)


def _all_faults(trial: Trial, slow_s: float) -> None:
    store = trial.store
    trial.fault("killed", store.kill, store.start)
    trial.fault("hung", store.hang, store.go_on)
    trial.fault("slow", partial(store.slow_down, slow_s), partial(store.slow_down, 0.0))
    trial.fault("locked", store.lock, store.unlock)
    trial.flush()
    store.kill()
    trial.fault("worker_killed", trial.kill_worker, store.start)


def judged(answers: list[Answer], trial: Trial) -> dict[str, float]:
    """What clients saw of it all."""
    failed = [answer for answer in answers if answer.status != HTTPStatus.OK]
    lost = [a for a in failed if a.due - AROUND_S < trial.killed < a.due + a.seconds + AROUND_S]
    for answer in failed:
        print(f"failed: {answer}, worker killed at {trial.killed}", file=sys.stderr)
    if any(answer.status == HTTPStatus.INTERNAL_SERVER_ERROR for answer in failed):
        print(trial.service.log.read_text()[-LOGGED:], file=sys.stderr)
    away = [
        (json.loads(a.body)["weights_version"] == known, 1e3 * a.seconds)
        for begin, end, known in trial.calm
        for a in answers
        if a.status == HTTPStatus.OK and begin <= a.due <= a.due + a.seconds <= end
    ]
    return {
        "requests": len(answers),
        "failed_requests": len(failed) - len(lost),
        "requests_lost_with_a_worker": len(lost),
        "answers_while_away": len(away),
        "answers_with_other_weights": sum(not right for right, _ in away),
        "p50_ms_while_away": round(statistics.median(ms for _, ms in away), 2),
        "slowest_ms_while_away": round(max(ms for _, ms in away), 2),
        "changes_taken_while_away": trial.taken,
        "seconds_until_in_step_at_most": round(max(trial.late.values()), 2),
        **{f"seconds_until_in_step_{name}": round(s, 2) for name, s in trial.late.items()},
        "seconds_until_put_back": round(trial.put_back_s, 2),
    }
