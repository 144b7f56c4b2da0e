"""Locust users: ranking stages that ask for candidates, one operator who changes weights meanwhile.

Decisions
- A ranking stage sends at a fixed rate, so a slow service is seen as latency and missed rate, not
  hidden by users who wait. A wrong answer, or one with outdated weights, is a failure.
- The operator owns the scenarios `loadtest-…` and touches no other; they stay afterwards, with
  their history. Its rows are `set weights` (the PUT) and `weights visible` (see freshness.py).
- Each change is a line of --changes: when, what, and how long until all fresh connections saw it.

Interactive, with locust's own page:  locust -f loadtests/locustfile.py --records releases
Headless, with thresholds:            python -m loadtests.run --records releases
"""

from __future__ import annotations

import csv
import itertools
import json
import time
from pathlib import Path
from typing import Any

import requests
from locust import FastHttpUser, between, constant_throughput, events, task
from locust.argument_parser import LocustArgumentParser
from locust.contrib.fasthttp import ResponseContextManager
from locust.env import Environment

from loadtests.freshness import Acknowledged, Probe, seconds_until_visible
from loadtests.queries import DEFAULT_SCENARIO, QueryMix, Record, find_fault, read_records

OWN_SCENARIOS = ("loadtest-feed", "loadtest-campaign")
PROBES = 8  # fresh connections per change: the kernel spreads them over the workers
CHANGE_COLUMNS = ("unix_time", "scenario", "version", "probes", "fastest_ms", "slowest_ms")


class Shared:
    """What the users of a run share; filled when the test starts."""

    records: list[Record]
    stages: tuple[str, ...]
    acknowledged: Acknowledged
    numbers = itertools.count(1)


@events.init_command_line_parser.add_listener
def add_arguments(parser: LocustArgumentParser) -> None:
    """The options of this load test beside locust's own."""
    parser.add_argument(
        "--records",
        type=Path,
        default=Path("releases"),
        help="user records to ask with: a JSON-lines file, or a releases directory",
    )
    parser.add_argument("--rate", type=float, default=2.0, help="requests a second of each user")
    parser.add_argument("--seed", type=int, default=1, help="seed of the queries")
    parser.add_argument("--changes", type=Path, help="write each change of weights to this CSV")


@events.init.add_listener
def prepare(environment: Environment, **_: object) -> None:
    """Read the records and set the pace before the first user exists."""
    options = environment.parsed_options
    Shared.records = read_records(options.records)
    RankingStage.wait_time = constant_throughput(options.rate)


@events.test_start.add_listener
def open_scenarios(environment: Environment, **_: object) -> None:
    """Learn the stages from the default scenario; make sure that the own scenarios exist."""
    Shared.acknowledged = Acknowledged()
    url = f"{environment.host or RankingStage.host}/scenarios"
    answer = requests.get(url, timeout=10)
    answer.raise_for_status()
    existing = {record["scenario"]: record["weights"] for record in answer.json()["scenarios"]}
    Shared.stages = tuple(existing[DEFAULT_SCENARIO])
    for name in sorted(set(OWN_SCENARIOS) - set(existing)):
        body = _change(existing[DEFAULT_SCENARIO], reason="scenario of the load test")
        requests.put(f"{url}/{name}/weights", json=body, timeout=10).raise_for_status()


def _change(weights: dict[str, float], reason: str) -> dict[str, object]:
    return {"weights": weights, "author": "loadtest", "reason": reason}


class RankingStage(FastHttpUser):
    """Asks for candidates of one person after the other, as the ranking stage of a feed does."""

    host = "http://127.0.0.1:8000"

    def on_start(self) -> None:
        """Start a query stream of its own."""
        seed = self.environment.parsed_options.seed * 1_000_000 + next(Shared.numbers)
        scenarios = (DEFAULT_SCENARIO, *OWN_SCENARIOS)
        self._mix = QueryMix(Shared.records, scenarios, Shared.stages, seed)
        self._just_seen: list[str] = []

    @task
    def retrieve(self) -> None:
        """One request, its answer checked."""
        query = self._mix.next(self._just_seen)
        due = Shared.acknowledged.due(str(query["scenario"]), time.monotonic())
        with self.client.post(
            "/retrieve", json=query, name="retrieve", catch_response=True
        ) as sent:
            columns = _json_of(sent)
            if columns is None:
                return
            fault = find_fault(query, columns)
            if fault is None and "weights" not in query and columns["weights_version"] < due:
                fault = f"weights of version {columns['weights_version']}, {due} was due"
            if fault:
                sent.failure(fault)
            else:
                self._just_seen = columns["item_ids"]


def _json_of(sent: ResponseContextManager) -> dict[str, Any] | None:
    """The body of a 200; None, and a counted failure that quotes it, for anything else."""
    try:
        if sent.status_code == 200:
            return dict(json.loads(sent.content))
    except (TypeError, ValueError):
        pass
    sent.failure(sent.error or f"status {sent.status_code}: {(sent.content or b'')[:300]!r}")
    return None


class Operator(FastHttpUser):
    """Changes the weights of a scenario every one to three seconds and waits to see them served."""

    host = RankingStage.host
    fixed_count = 1
    wait_time = between(1, 3)

    def on_start(self) -> None:
        """Open the journal of changes."""
        self._mix = QueryMix(Shared.records, OWN_SCENARIOS, Shared.stages, seed=0)
        self._turns = itertools.cycle(OWN_SCENARIOS)
        path = self.environment.parsed_options.changes
        self._journal = path.open("w", newline="") if path else None
        self._write(CHANGE_COLUMNS)

    def on_stop(self) -> None:
        """Close the journal."""
        if self._journal:
            self._journal.close()

    @task
    def change_weights(self) -> None:
        """Set weights, then measure until every fresh connection answers with them."""
        scenario = next(self._turns)
        query = {"scenario": scenario, "user": Shared.records[0], "k": 1}
        probes = [Probe(self.host, query) for _ in range(PROBES)]
        try:
            version = self._put(scenario)
            if version is not None:
                self._measure(scenario, version, probes)
        finally:
            for probe in probes:
                probe.close()

    def _put(self, scenario: str) -> int | None:
        body = _change(self._mix.weights(), reason="change under load")
        path = f"/scenarios/{scenario}/weights"
        with self.client.put(path, json=body, name="set weights", catch_response=True) as sent:
            record = _json_of(sent)
        if record is None:
            return None
        Shared.acknowledged.add(scenario, record["version"], time.monotonic())
        return int(record["version"])

    def _measure(self, scenario: str, version: int, probes: list[Probe]) -> None:
        start, error, waits_ms = time.time(), None, [0.0]
        try:
            waits_ms = [1000 * wait for wait in seconds_until_visible(probes, version)]
        except Exception as caught:  # noqa: BLE001  a probe that fails in any way is a failed row
            error = caught
        self.environment.events.request.fire(
            request_type="PROBE",
            name="weights visible",
            response_time=max(waits_ms),
            response_length=0,
            exception=error,
            context={},
        )
        span = (f"{min(waits_ms):.1f}", f"{max(waits_ms):.1f}") if error is None else ("", "")
        self._write((f"{start:.3f}", scenario, version, len(probes), *span))

    def _write(self, row: tuple[object, ...]) -> None:
        if self._journal:
            csv.writer(self._journal).writerow(row)
            self._journal.flush()
