"""Which worker answers on which connection, as the kernel tells it.

Workers share a port, and whoever is woken first takes a new connection: one may have them all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

from loadtests.reliability.running import ServiceError

MOST = 400  # connections, before giving up


def on_each_worker(port: int, workers: Sequence[int], each: int) -> list[HTTPConnection]:
    """So many connections to every worker. Raises ServiceError."""
    found: dict[int, list[HTTPConnection]] = {worker: [] for worker in workers}
    for _ in range(MOST):
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/livez")
        connection.getresponse().read()
        mine = found[_worker(connection, port, workers)]
        if len(mine) < each:
            mine.append(connection)
        if all(len(taken) == each for taken in found.values()):
            return [connection for taken in found.values() for connection in taken]
    raise ServiceError(f"of {MOST} connections some worker took fewer than {each}")


def _worker(connection: HTTPConnection, port: int, workers: Sequence[int]) -> int:
    """Whose socket is the other end. Raises ServiceError."""
    own = connection.sock.getsockname()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ends = [int(end.rpartition(":")[2], 16) for end in fields[1:3]]
        if ends == [port, own]:
            for worker in workers:
                if f"socket:[{fields[9]}]" in _files(worker):
                    return worker
    raise ServiceError(f"no worker holds the connection from port {own}")


def _files(process: int) -> set[str]:
    names = set()
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            names.add(os.readlink(descriptor))  # noqa: PTH115  a socket is no path
    return names
