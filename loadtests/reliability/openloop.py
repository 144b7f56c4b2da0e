"""Requests at fixed times, whatever the service does, from a process and a core of their own.

Decisions
- The times do not depend on what happens, and an answer's time counts from when its request was
  due: a service that stalls, and a client that is late, are charged for it. How late the client was
  is a figure of its own.
- Sockets and epoll, no event loop: a request costs the client 20 µs, so that one core offers more
  than any worker answers. It spins while something is due within a millisecond: epoll cannot wait
  for less.
- A pool of connections is open from the start, as callers in production keep one. A request that
  finds none free waits for one, and that time counts. They take turns, and there are fewer where
  little is asked: none is idle for so long that a server would close it.
- With `at_once` in place of `rate` it asks again as soon as it is answered: that measures capacity.

    echo '{"port": 8000, "rate": 500, "seconds": 10, …}' | python -m loadtests.reliability.openloop
"""

from __future__ import annotations

import json
import os
import random
import re
import select
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from loadtests.reliability.running import ServiceError

GIVE_UP_S = 10.0
CONNECTIONS = 256
SPIN_S = 0.0015
OK, OVERLOADED, NO_ANSWER = 200, 503, 0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_EFFORT = re.compile(rb'"effort":([0-9.]+)')


@dataclass(frozen=True)
class Offer:
    """What to ask, how often, and for how long; the first seconds are not counted."""

    port: int
    path: str
    bodies: list[str]
    seconds: float
    unmeasured: float = 1.0
    rate: float = 0.0  # a second, at random times; 0: `at_once` keep asking
    at_once: int = 0
    seed: int = 1
    core: int | None = None


@dataclass
class Connection:
    """One socket, and the request under way on it."""

    socket: socket.socket
    due: float = 0.0
    received: bytes = b""
    asked: bool = False


@dataclass
class Seen:
    """Answers whose requests were due while it counted."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: dict[int, list[float]] = field(default_factory=lambda: {OK: [], OVERLOADED: []})
    efforts: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)  # requests, behind their time

    def add(self, status: int, seconds: float, body: bytes) -> None:
        """Count one answer."""
        self.statuses[status] += 1
        self.seconds.setdefault(status, []).append(seconds)
        if status == OK:
            found = _EFFORT.search(body)
            self.efforts.append(float(found[1]) if found else 1.0)

    def figures(self, seconds: float) -> dict[str, float]:
        """Rates and times."""
        answered, refused = self.seconds[OK], self.seconds[OVERLOADED]
        return {
            "requests": self.statuses.total(),
            "offered_per_s": round(self.statuses.total() / seconds, 1),
            "goodput_per_s": round(self.statuses[OK] / seconds, 1),
            "refused": self.statuses[OVERLOADED],
            "failed": self.statuses.total() - self.statuses[OK] - self.statuses[OVERLOADED],
            "p50_ms": _percentile(answered, 50),
            "p99_ms": _percentile(answered, 99),
            "refused_p99_ms": _percentile(refused, 99),
            "effort": round(statistics.fmean(self.efforts or [1.0]), 3),
            "sent_late_p99_ms": _percentile(self.late, 99),
        }


class Client:
    """Asks as offered."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._times, self._bodies = random.Random(offer.seed), random.Random(offer.seed)
        self._requests = [_request(offer.path, body.encode()) for body in offer.bodies]
        self._poll, self._open = select.epoll(), dict[int, Connection]()
        self._free: deque[Connection] = deque()
        self._due: deque[float] = deque()  # times of requests that wait for being sent
        self._seen = Seen()
        for _ in range(offer.at_once or min(CONNECTIONS, 8 + int(3 * offer.rate))):
            self._free.append(self._connect())

    def run(self) -> dict[str, float]:
        """Ask until the time is over and all is answered; the figures."""
        began = time.perf_counter()
        counted, end = began + self._offer.unmeasured, began + self._offer.seconds
        arrivals, upcoming = self._arrivals(began), 0.0
        upcoming = next(arrivals)
        while (now := time.perf_counter()) < end + GIVE_UP_S:
            while upcoming <= now and upcoming < end:
                self._due.append(upcoming)
                upcoming = next(arrivals)
            while self._due and self._free:
                self._send(self._due.popleft(), now, counted)
            if upcoming >= end and not self._due and len(self._free) == len(self._open):
                break
            wait = min(upcoming, end) - now
            for descriptor, _ in self._poll.poll(wait if wait > SPIN_S else 0):
                self._receive(self._open[descriptor], counted, end)
        unanswered = len(self._open) - len(self._free) + len(self._due)
        self._seen.statuses[NO_ANSWER] += unanswered
        return self._seen.figures(end - counted)

    def _arrivals(self, began: float) -> Iterator[float]:
        """When requests are due: at random at a rate; or all at once, and then never."""
        due = began
        for _ in range(self._offer.at_once):
            yield began
        while self._offer.rate:
            due += self._times.expovariate(self._offer.rate)
            yield due
        while True:
            yield float("inf")

    def _send(self, due: float, now: float, counted: float) -> None:
        connection = self._free.popleft()
        connection.due, connection.received, connection.asked = due, b"", True
        if due >= counted:
            self._seen.late.append(now - due)
        connection.socket.send(self._bodies.choice(self._requests))

    def _connect(self) -> Connection:
        connected = socket.create_connection(("127.0.0.1", self._offer.port), GIVE_UP_S)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setblocking(False)
        self._poll.register(connected, select.EPOLLIN)
        self._open[connected.fileno()] = Connection(connected)
        return self._open[connected.fileno()]

    def _anew(self, connection: Connection) -> Connection:
        self._poll.unregister(connection.socket)
        del self._open[connection.socket.fileno()]
        connection.socket.close()
        return self._connect()

    def _receive(self, connection: Connection, counted: float, end: float) -> None:
        data = connection.socket.recv(1 << 18)
        if not connection.asked:  # closed between requests
            self._free.remove(connection)
            self._free.append(self._anew(connection))
            return
        connection.received += data
        whole = _whole(connection.received)
        if data and not whole:
            return
        now = time.perf_counter()
        status = int(connection.received[9:12]) if data else NO_ANSWER
        if connection.due >= counted:
            self._seen.add(status, now - connection.due, connection.received)
        connection.asked = False
        last = not data or b"\r\nconnection: close" in connection.received[:500]
        self._free.append(self._anew(connection) if last else connection)
        if self._offer.at_once and now < end:
            self._due.append(now)


def _request(path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"connection: keep-alive\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _whole(received: bytes) -> bool:
    end = received.find(b"\r\n\r\n")
    length = _LENGTH.search(received, 0, end + 2) if end > 0 else None
    return length is not None and len(received) >= end + 4 + int(length[1])


def _percentile(seconds: list[float], percent: int) -> float:
    """In milliseconds; 0 of nothing."""
    if len(seconds) < 2:
        return round(1e3 * sum(seconds), 3)
    return round(1e3 * statistics.quantiles(seconds, n=100)[percent - 1], 3)


def offered(offer: Offer) -> dict[str, float]:
    """The figures of an offer, made by a process of its own. Raises ServiceError."""
    command, told = [sys.executable, "-m", "loadtests.reliability.openloop"], asdict(offer)
    ran = subprocess.run(  # noqa: S603  our own interpreter
        command, input=json.dumps(told), capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise ServiceError(f"the client failed: {ran.stderr.strip()[-500:]}")
    seen: dict[str, float] = json.loads(ran.stdout)
    return seen


def main() -> None:
    """Read an offer, make it, write the figures."""
    offer = Offer(**json.load(sys.stdin))
    if offer.core is not None:
        os.sched_setaffinity(0, {offer.core})
    json.dump(Client(offer).run(), sys.stdout)


if __name__ == "__main__":
    main()
