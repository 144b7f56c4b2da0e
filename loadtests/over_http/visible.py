"""How long after a change of weights was acknowledged may a worker still answer with older ones?

Decisions
- Connections to every worker ask at once, again and again, until each was answered with the new
  weights.
- What counts for a connection is when the request was sent that was answered so; for a change, the
  slowest connection. The figure is late by as much as a round of answers takes, and never early.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Sequence
from http.client import HTTPConnection
from typing import Any

from loadtests.over_http.workers import on_each_worker
from loadtests.reliability.running import ServiceError

SCENARIO = "visible"
CONNECTIONS = 2  # to each worker
PAUSE_S = 0.03  # at most, between changes: so that they meet a store's polls at any phase
_VERSION = re.compile(rb'"weights_version":(\d+)')


def staleness(port: int, workers: Sequence[int], changes: int) -> list[float]:
    """Seconds for each change. Raises ServiceError."""
    pause = random.Random(1)
    operator = HTTPConnection("127.0.0.1", port, timeout=30)
    asking = on_each_worker(port, workers, CONNECTIONS)
    waits = []
    for change in range(changes):
        changed = set_weights(operator, SCENARIO, 1.0 + change % 2)
        waits.append(_until(asking, int(changed["version"])))
        time.sleep(pause.uniform(0, PAUSE_S))
    return waits


def set_weights(operator: HTTPConnection, scenario: str, weight: float) -> dict[str, Any]:
    """Give all stages this weight; what is in force then. Raises ServiceError."""
    stages = _call(operator, "GET", "/scenarios/default/weights")["weights"]
    said = {"weights": dict.fromkeys(stages, weight), "author": "loadtest", "reason": "is it seen?"}
    changed = _call(operator, "PUT", f"/scenarios/{scenario}/weights", said)
    current: dict[str, Any] = changed["current"]
    return current


def _until(asking: list[HTTPConnection], version: int) -> float:
    """Seconds until the last of the connections sent what was answered with this version."""
    acknowledged = sent = time.perf_counter()
    pending = asking
    while pending:
        sent = time.perf_counter()
        for connection in pending:
            _send(connection, "POST", "/retrieve", {"scenario": SCENARIO, "user": {}, "k": 1})
        pending = [each for each in pending if _version(each) < version]
    return sent - acknowledged


def _version(connection: HTTPConnection) -> int:
    answer = connection.getresponse().read()
    found = _VERSION.search(answer)
    return int(found[1]) if found else 0


def _send(connection: HTTPConnection, method: str, path: str, body: object = None) -> None:
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, {"content-type": "application/json"})


def _call(connection: HTTPConnection, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  JSON
    _send(connection, method, path, body)
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise ServiceError(f"{method} {path} was answered {response.status}: {content[:300]!r}")
    return json.loads(content)
