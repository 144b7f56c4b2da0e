"""How old may the weights of an answer be? Kept by what the service acknowledged.

Decisions
- A change counts from the moment its PUT was answered. Every request sent a grace later or more,
  by any user over any connection, must be answered with that version or a newer one. So each
  ranking request of a run is also a probe, and all workers are covered, whichever they are.
- `seconds_until_visible` asks on fresh connections, all at once, as fast as each one answers, and
  counts until the answer is back: the figure includes a response time and never flatters.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import gevent

from loadtests.key import key_headers

GIVE_UP_S = 5.0


class Acknowledged:
    """Versions that the service acknowledged, per scenario, with the time of the answer."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._changes: dict[str, list[tuple[float, int]]] = defaultdict(list)

    def add(self, scenario: str, version: int, at: float) -> None:
        """A PUT was answered with `version` at monotonic time `at`, in seconds."""
        self._changes[scenario].append((at, version))

    def due(self, scenario: str, sent_at: float) -> int:
        """The oldest version that a request sent at `sent_at` may be answered with."""
        settled = (v for at, v in self._changes[scenario] if at + self._grace_s <= sent_at)
        return max(settled, default=0)


class Probe:
    """One connection, and so one worker, that is asked for the version it answers with."""

    def __init__(self, host: str, query: dict[str, object]) -> None:
        url = urlsplit(host)
        connect = HTTPSConnection if url.scheme == "https" else HTTPConnection
        self._connection = connect(url.netloc, timeout=GIVE_UP_S)
        self._body = json.dumps(query)
        self._headers = {"Content-Type": "application/json", **key_headers()}
        self._connection.connect()

    def version(self) -> int:
        """The weights version of one answer. Raises OSError or HTTPException."""
        self._connection.request("POST", "/retrieve", self._body, self._headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise HTTPException(f"probe answered {response.status}: {body[:200]!r}")
        return int(json.loads(body)["weights_version"])

    def seconds_until(self, version: int) -> float:
        """Ask until the answer carries `version` or a newer one. Raises TimeoutError."""
        start = time.monotonic()
        while time.monotonic() - start < GIVE_UP_S:
            if self.version() >= version:
                return time.monotonic() - start
        raise TimeoutError(f"version {version} was not visible after {GIVE_UP_S:g} s")

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def seconds_until_visible(probes: list[Probe], version: int) -> list[float]:
    """For each probe, seconds from now to its first answer with `version`. Raises as a probe."""
    waits = [gevent.spawn(probe.seconds_until, version) for probe in probes]
    try:
        gevent.joinall(waits)
    finally:
        gevent.killall(waits)  # a caller may close no connection that a probe still reads from
    return [wait.get() for wait in waits]
