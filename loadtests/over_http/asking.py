"""The side that asks a service: some connections, each of which asks again once it is answered.

It shares its core with the worker, so it does as little as can be: a request is bytes made once, an
answer is read up to its length and looked at no further than its status.
"""

from __future__ import annotations

import itertools
import re
import select
import socket
import time
from dataclasses import dataclass

from loadtests.over_http.side import options_of_side, take_turns

GIVE_UP_S = 30.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_OK = b"HTTP/1.1 200 "


@dataclass
class Connection:
    """One socket, when it asked, and how much of the answer is still to come."""

    socket: socket.socket
    asked: float = 0.0
    missing: int = 0


class Asking:
    """Connections to one port that ask these bodies in turn."""

    def __init__(self, port: int, bodies: list[str], connections: int) -> None:
        self._requests = itertools.cycle([request(body.encode()) for body in bodies])
        self._poll = select.epoll()
        self._open = dict(self._connect(port) for _ in range(connections))

    def work(self, seconds: float) -> list[float]:
        """Ask for so long; the seconds that each answer took."""
        times: list[float] = []
        end, waiting = time.perf_counter() + seconds, len(self._open)
        for connection in self._open.values():
            self._ask(connection)
        while waiting:
            ready = self._poll.poll(GIVE_UP_S)
            if not ready:
                raise TimeoutError(f"no answer within {GIVE_UP_S:g} s")
            for descriptor, _ in ready:
                connection = self._open[descriptor]
                if not _answered(connection):
                    continue
                now = time.perf_counter()
                times.append(now - connection.asked)
                if now < end:
                    self._ask(connection)
                else:
                    waiting -= 1
        return times

    def _connect(self, port: int) -> tuple[int, Connection]:
        connected = socket.create_connection(("127.0.0.1", port), GIVE_UP_S)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(connected, select.EPOLLIN)
        return connected.fileno(), Connection(connected)

    def _ask(self, connection: Connection) -> None:
        connection.asked = time.perf_counter()
        connection.socket.send(next(self._requests))


def request(body: bytes) -> bytes:
    """A whole request for a list."""
    head = (
        "POST /retrieve HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _answered(connection: Connection) -> bool:
    """Whether the answer is there, now that something of it is. Raises ConnectionError."""
    received = connection.socket.recv(1 << 18)
    if connection.missing:
        connection.missing -= len(received)
    else:
        end = received.find(b"\r\n\r\n")
        length = _LENGTH.search(received, 0, end + 2)
        if not received.startswith(_OK) or not length:
            raise ConnectionError(f"expected an answer, got {received[:300]!r}")
        connection.missing = end + 4 + int(length[1]) - len(received)
    if not received:
        raise ConnectionError("closed in the middle of an answer")
    return connection.missing == 0


if __name__ == "__main__":
    take_turns(Asking(**options_of_side()).work)
