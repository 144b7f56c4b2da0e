"""Locust users: ranking stages that ask for candidates, one operator who changes weights meanwhile.

Decisions
- A ranking stage sends at random moments at a fixed mean rate, whatever the service does, so a slow
  service is seen as latency and missed rate, not hidden by users who wait for it.
- A wrong answer, or one with outdated weights, is a failure like a 500.
- The operator owns the scenarios `loadtest-…` and touches no other; they stay afterwards, with
  their history. Its rows are `set weights` (the PUT) and `weights visible` (see freshness.py).
- With --tables, each change is a line of changes.csv: when, what, and after how long the first and
  the last of the fresh connections was answered with it.

With locust's own page:     locust -f loadtests/locustfile.py --records releases
Headless, with thresholds:  python -m loadtests.run --records releases
"""

from __future__ import annotations

import csv
import itertools
import json
import random
import sys
import time
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from typing import Any

import requests
from locust import FastHttpUser, between, events, task
from locust.argument_parser import LocustArgumentParser
from locust.contrib.fasthttp import ResponseContextManager
from locust.env import Environment
from locust.stats import PERCENTILES_TO_REPORT, StatsCSV

from loadtests.freshness import Acknowledged, Probe, seconds_until_visible
from loadtests.key import key_headers
from loadtests.queries import (
    DEFAULT_SCENARIO,
    QueryMix,
    Record,
    RecordsError,
    find_fault,
    read_records,
)

OWN_SCENARIOS = ("loadtest-feed", "loadtest-campaign")
PROBES = 8  # fresh connections per change: the kernel spreads them over the workers
CHANGE_COLUMNS = ("unix_time", "scenario", "version", "probes", "fastest_ms", "slowest_ms")


class Shared:
    """What the users of a run share; filled before the first of them exists."""

    records: list[Record]
    stages: tuple[str, ...]
    acknowledged: Acknowledged
    numbers = itertools.count(1)


@events.init_command_line_parser.add_listener
def add_arguments(parser: LocustArgumentParser) -> None:
    """The options of this load test beside locust's own."""
    add = parser.add_argument
    add("--records", type=Path, default=Path("releases"), help="JSON lines, or releases directory")
    add("--rate", type=float, default=2.0, help="mean requests a second of each ranking stage")
    add("--seed", type=int, default=1, help="seed of the queries")
    add("--grace-ms", type=float, default=100, help="old weights may be served for this long")
    add("--tables", type=Path, help="write results, failures and changes as CSV to this directory")


@events.test_start.add_listener
def prepare(environment: Environment, **_: object) -> None:
    """Read the records, learn the stages, make sure that the own scenarios exist."""
    options = environment.parsed_options
    Shared.acknowledged = Acknowledged(options.grace_ms / 1000)
    try:
        Shared.records = read_records(options.records)
        _open_scenarios(f"{environment.host or RankingStage.host}/scenarios")
        time.sleep(options.grace_ms / 1000)  # a scenario may be new to the other workers
    except (RecordsError, requests.RequestException, KeyError) as error:
        sys.exit(f"error: the load test cannot start: {error!r}")


def _open_scenarios(url: str) -> None:
    answer = requests.get(url, headers=key_headers(), timeout=10)
    answer.raise_for_status()
    Shared.stages = tuple(answer.json()["stages"])
    existing = {record["scenario"]: record["weights"] for record in answer.json()["scenarios"]}
    for name in sorted(set(OWN_SCENARIOS) - set(existing)):
        body = _change(existing[DEFAULT_SCENARIO], reason="scenario of the load test")
        sent = requests.put(f"{url}/{name}/weights", json=body, headers=key_headers(), timeout=10)
        sent.raise_for_status()


def _change(weights: dict[str, float], reason: str) -> dict[str, object]:
    return {"weights": weights, "author": "loadtest", "reason": reason}


@events.test_stop.add_listener
def write_tables(environment: Environment, **_: object) -> None:
    """Write the tables once all users have stopped: locust's own CSV files miss the last second."""
    if environment.runner.exceptions:
        environment.process_exit_code = 1  # a fault of the load test itself; locust has printed it
    directory = environment.parsed_options.tables
    if directory is None:
        return
    tables = StatsCSV(environment, PERCENTILES_TO_REPORT)
    with (directory / "results.csv").open("w", newline="", encoding="utf-8") as file:
        tables.requests_csv(csv.writer(file))
    with (directory / "failures.csv").open("w", newline="", encoding="utf-8") as file:
        tables.failures_csv(csv.writer(file))


class RankingStage(FastHttpUser):
    """Asks for candidates of one person after the other, as the ranking stage of a feed does."""

    host = "http://127.0.0.1:8000"
    default_headers = key_headers()

    def on_start(self) -> None:
        """Start a query stream of its own."""
        seed = self.environment.parsed_options.seed * 1_000_000 + next(Shared.numbers)
        scenarios = (DEFAULT_SCENARIO, *OWN_SCENARIOS)
        self._mix = QueryMix(Shared.records, scenarios, Shared.stages, seed)
        self._just_seen: list[str] = []
        self._arrivals = random.Random(seed)
        self._next_arrival = time.monotonic()

    def wait_time(self) -> float:
        """Seconds to the next arrival of a Poisson process; none while behind it."""
        rate = self.environment.parsed_options.rate
        self._next_arrival += self._arrivals.expovariate(rate)
        return max(0.0, self._next_arrival - time.monotonic())

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
    sent.failure(f"status {sent.status_code}: {(sent.content or b'')[:300]!r} {sent.error or ''}")
    return None


class Operator(FastHttpUser):
    """Changes the weights of a scenario every one to three seconds and waits to see them served."""

    host = RankingStage.host
    default_headers = key_headers()
    fixed_count = 1
    wait_time = between(1, 3)

    def on_start(self) -> None:
        """Open the journal of changes."""
        self._mix = QueryMix(Shared.records, OWN_SCENARIOS, Shared.stages, seed=0)
        self._turns = itertools.cycle(OWN_SCENARIOS)
        directory = self.environment.parsed_options.tables
        self._journal = (directory / "changes.csv").open("w", newline="") if directory else None
        self._write(CHANGE_COLUMNS)

    def on_stop(self) -> None:
        """Close the journal."""
        if self._journal:
            self._journal.close()

    @task
    def change_weights(self) -> None:
        """Set weights, then measure until every fresh connection answers with them."""
        scenario, waits, error = next(self._turns), [], None
        query = {"scenario": scenario, "user": Shared.records[0], "k": 1}
        with ExitStack() as stack:
            try:
                probes = [stack.enter_context(Probe(self.host, query)) for _ in range(PROBES)]
                version = self._put(scenario)
                if version is None:
                    return  # counted as a failed `set weights`
                start = time.time()
                waits = seconds_until_visible(probes, version)
                self._write((f"{start:.3f}", scenario, version, len(waits), *_span_ms(waits)))
            except (OSError, HTTPException, ValueError) as caught:
                error = caught
        self.environment.events.request.fire(
            request_type="PROBE",
            name="weights visible",
            response_time=1000 * max(waits, default=0.0),
            response_length=0,
            exception=error,
            context={},
        )

    def _put(self, scenario: str) -> int | None:
        body = _change(self._mix.weights(), reason="change under load")
        path = f"/scenarios/{scenario}/weights"
        with self.client.put(path, json=body, name="set weights", catch_response=True) as sent:
            change = _json_of(sent)
        if change is None:
            return None
        version = int(change["current"]["version"])
        Shared.acknowledged.add(scenario, version, time.monotonic())
        return version

    def _write(self, row: tuple[object, ...]) -> None:
        if self._journal:
            csv.writer(self._journal).writerow(row)
            self._journal.flush()


def _span_ms(waits: list[float]) -> tuple[str, str]:
    return f"{1000 * min(waits):.1f}", f"{1000 * max(waits):.1f}"
