"""Change weights as many people at once would, and split traffic: is history linear, who moves?

Decisions
- Every update of the burst names the version that its author saw last. So each version has exactly
  one successor, by the author who was answered 200; everybody else must have been answered 409.
- The split is judged by what /retrieve says of each user, on connections that reach all workers.
- Users are asked again after a restart of the service and after one share grew: nobody may have
  moved but from the scenario's own weights into the variant that grew.
- The weights are in a local file, or with CSMF_REDIS_URL in the environment in that Redis.
- How late a schedule ends is the time between its `until` and the last answer that it served.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from loadtests.reliability.pairs import find_pairs, make_runs
from loadtests.reliability.running import RunningService, ServiceError
from loadtests.verdict import Threshold

SHARES = {"calm": 0.05, "bold": 0.2}
GROWN = 0.1  # what `calm` grows to
SCHEDULE_S = 2.0
KNOWN_S = 0.5  # after this every worker knows of a change; 100 ms are promised
ASKING = 8  # connections that ask for the users' variants
Json = dict[str, Any]
Variants = dict[str, str | None]
Outcome = tuple[int, int, str]  # the version that was seen, the status of the answer, the author


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of this experiment."""
    add = parser.add_argument
    add("--releases", type=Path, help="folder with a published pair; default: one made here")
    add("--updates", type=int, default=1000, help="of the burst (default: %(default)s)")
    add("--authors", type=int, default=1000, help="who update at once (default: %(default)s)")
    add("--users", type=int, default=20_000, help="to split (default: %(default)s)")
    add("--workers", type=int, default=2, help="of the service (default: %(default)s)")


def thresholds(options: argparse.Namespace) -> list[Threshold]:
    """What must be reached."""
    return [
        Threshold("weights", "updates_answered", at_least=options.updates),
        Threshold("weights", "updates_neither_won_nor_refused", at_most=0),
        Threshold("weights", "versions_without_their_winner", at_most=0),
        Threshold("weights", "share_error_in_deviations", at_most=4),
        Threshold("weights", "users_moved_by_a_restart", at_most=0),
        Threshold("weights", "users_moved_without_need", at_most=0),
        Threshold("weights", "schedule_ended_late_ms", at_most=100),
    ]


def run(options: argparse.Namespace, work: Path) -> dict[str, float]:
    """Burst, split, restart, grow, schedule; the figures."""
    work.mkdir(parents=True, exist_ok=True)
    releases = options.releases or make_runs(work, ["one"], 2000)
    if options.releases is None:
        find_pairs(releases)[0].publish()
    flags = ("--workers", str(options.workers))
    scenario = f"burst-{time.time_ns()}"
    with RunningService(releases, work, *flags) as service:
        stages = _call(service.port, "GET", "/scenarios")[1]["stages"]
        operator = Operator(service.port, scenario, dict.fromkeys(stages, 1.0))
        operator.settle("weights", weights=operator.weights)
        figures = _burst(operator, options.updates, options.authors)
        for name, share in SHARES.items():
            operator.settle(f"variants/{name}", share=share, weights=operator.weights)
        first = _variants(operator, options.users)
    with RunningService(releases, work, *flags) as service:
        operator = Operator(service.port, scenario, operator.weights)
        second = _variants(operator, options.users)
        operator.settle("variants/calm", share=GROWN)
        third = _variants(operator, options.users)
        late = _lateness(operator)
    grown = {user for user in second if (second[user], third[user]) == (None, "calm")}
    return figures | {
        "share_error_in_deviations": _share_error(first),
        "users_moved_by_a_restart": len(_moved(first, second)),
        "users_moved_by_growth": len(grown),
        "users_moved_without_need": len(_moved(second, third) - grown),
        "schedule_ended_late_ms": 1e3 * late,
    }


class Operator:
    """Somebody who changes one scenario of the service at a port."""

    def __init__(self, port: int, scenario: str, weights: Mapping[str, float]) -> None:
        self.port, self.scenario, self.weights = port, scenario, dict(weights)

    def put(self, path: str, **body: object) -> tuple[int, Json]:
        """Status and answer of one change."""
        signed = {"author": "loadtest", "reason": "experiment", **body}
        return _call(self.port, "PUT", f"/scenarios/{self.scenario}/{path}", signed)

    def settle(self, path: str, **body: object) -> None:
        """Make a change and wait until every worker knows of it."""
        status, answer = self.put(path, **body)
        if status != HTTPStatus.OK:
            raise ServiceError(f"{self.scenario}/{path} was refused: {answer}")
        time.sleep(KNOWN_S)

    def version(self) -> int:
        """The version in force."""
        return int(_call(self.port, "GET", f"/scenarios/{self.scenario}/weights")[1]["version"])


def _call(port: int, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
    """On a connection of its own, so that any worker answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        return _ask(connection, method, path, body)
    finally:
        connection.close()


def _ask(
    connection: HTTPConnection, method: str, path: str, body: Json | None = None
) -> tuple[int, Json]:
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, {"content-type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def _burst(operator: Operator, updates: int, authors: int) -> dict[str, float]:
    """Updates by many authors at once, each from the version it saw; who won is in the history."""

    def update(number: int) -> Outcome:
        seen, author = operator.version(), f"author-{number}"
        body = {"weights": operator.weights, "author": author, "expected_version": seen}
        return seen, operator.put("weights", **body)[0], author

    before, began = operator.version(), time.perf_counter()
    with ThreadPoolExecutor(authors) as pool:
        outcomes = list(pool.map(update, range(updates)))
    seconds = time.perf_counter() - began
    time.sleep(KNOWN_S)
    history = {record["version"]: record["author"] for record in _history(operator, before)}
    return judged_burst(outcomes, history, before) | {"updates_per_second": updates / seconds}


def judged_burst(
    outcomes: Sequence[Outcome], history: Mapping[int, str], before: int
) -> dict[str, float]:
    """What became of the updates, and the versions that are not their one winner's."""
    statuses = Counter(status for _, status, _ in outcomes)
    won = {seen + 1: author for seen, status, author in outcomes if status == HTTPStatus.OK}
    expected = range(before + 1, before + statuses[HTTPStatus.OK] + 1)
    wrong = [v for v in expected if v not in won or history.get(v) != won[v]]
    others = statuses.total() - statuses[HTTPStatus.OK] - statuses[HTTPStatus.CONFLICT]
    return {
        "updates_answered": statuses.total(),
        "updates_won": statuses[HTTPStatus.OK],
        "updates_refused": statuses[HTTPStatus.CONFLICT],
        "updates_neither_won_nor_refused": others,
        "versions_without_their_winner": len(wrong) + len(history.keys() - set(expected)),
    }


def _history(operator: Operator, after: int) -> list[Json]:
    path = f"/scenarios/{operator.scenario}/weights/history?limit=1000&before="
    below = range(operator.version() + 1, after + 1, -1000)
    pages = [_call(operator.port, "GET", f"{path}{version}")[1]["records"] for version in below]
    return [record for page in pages for record in page if record["version"] > after]


def _variants(operator: Operator, users: int) -> Variants:
    """What /retrieve says of each user, asked over several connections."""

    def ask(part: Sequence[str]) -> Variants:
        connection = HTTPConnection("127.0.0.1", operator.port, timeout=60)
        found = {user: _served(connection, operator, user)["variant"] for user in part}
        connection.close()
        return found

    names = [f"u{number}" for number in range(users)]
    with ThreadPoolExecutor(ASKING) as pool:
        parts = pool.map(ask, [names[start::ASKING] for start in range(ASKING)])
    return {user: variant for part in parts for user, variant in part.items()}


def _served(connection: HTTPConnection, operator: Operator, user: str | None) -> Json:
    body = {"scenario": operator.scenario, "user": {"user_id": user} if user else {}, "k": 1}
    return _ask(connection, "POST", "/retrieve", body)[1]


def _moved(before: Variants, after: Variants) -> set[str]:
    return {user for user, variant in before.items() if after[user] != variant}


def _share_error(variants: Variants) -> float:
    """The largest error of a share, in standard deviations of a binomial distribution."""
    users, counts = len(variants), Counter(variants.values())
    return max(
        abs(counts[name] - users * share) / math.sqrt(users * share * (1 - share))
        for name, share in SHARES.items()
    )


def _lateness(operator: Operator) -> float:
    """Seconds for which a schedule served beyond its end; asks until it has ended for a second."""
    until = datetime.now(UTC) + timedelta(seconds=SCHEDULE_S)
    operator.settle("schedule", weights=operator.weights, until=until.isoformat())
    connection = HTTPConnection("127.0.0.1", operator.port, timeout=60)
    last = math.nan  # stays so if it never served, which misses the threshold
    while (now := datetime.now(UTC)) < until + timedelta(seconds=1):
        if _served(connection, operator, None)["scheduled"]:
            last = max(0.0, (now - until).total_seconds())
    connection.close()
    return last
