"""Takes new connections, all that wait in one turn, and leaves to others what is theirs.

Decisions
- The loop's own server takes one connection a turn, and computing an answer is a turn: behind a
  thousand new ones a probe would wait for a second. Here a turn takes up to BATCH of them.
- All workers listen on one socket, so that a worker that dies strands nobody. The kernel wakes
  whoever slept last: of connections opened one after the other one worker would get nearly all. So
  a worker that has more than the emptiest waits for that one to come, for PATIENCE looks of a
  millisecond; then it takes UNEVEN of them, for the other may be busy, or gone.
- Without descriptors or memory for more it waits a second, as asyncio does; the others go on.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvloop

from service.load.connections import Connections, connections

log = logging.getLogger(__name__)

BATCH, UNEVEN = 64, 8
LOOK_S, PATIENCE = 0.001, 5
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
EXHAUSTED_S = 1.0
HANDSHAKE_S = 10.0  # of TLS

Protocols = Callable[[], asyncio.BaseProtocol]


class AcceptingLoop(uvloop.Loop):
    """uvloop, but for how it listens on a socket that is there."""

    async def create_server(  # type: ignore[override]  # the one form that uvicorn's workers use
        self,
        protocols: Protocols,
        *,
        sock: socket.socket,
        ssl: ssl.SSLContext | None = None,
        backlog: int = 2048,
    ) -> Acceptor:
        """Listen on `sock`, which is bound."""
        sock.setblocking(False)
        sock.listen(backlog)
        return Acceptor(self, sock, protocols, ssl, connections())


class Acceptor:
    """Of one worker and one listening socket."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        protocols: Protocols,
        tls: ssl.SSLContext | None,
        among: Connections,
    ) -> None:
        self._loop, self._listening, self._protocols = loop, listening, protocols
        self._tls, self._connections = tls, among
        self._coming: set[asyncio.Task[Any]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._waited = 0  # looks at the others since it took all that came
        among.listen()
        self._listen()

    def close(self) -> None:
        """Take no more."""
        self._loop.remove_reader(self._listening.fileno())
        if self._later:
            self._later.cancel()
        self._connections.leave()

    async def wait_closed(self) -> None:
        """Until what was taken is handed on."""
        while self._coming:
            await asyncio.wait(self._coming)

    def _listen(self) -> None:
        self._later = None
        self._loop.add_reader(self._listening.fileno(), self._take)

    def _take(self) -> None:
        """Connections are waiting."""
        most = BATCH if self._waited < PATIENCE else UNEVEN
        for _ in range(most):
            if most == BATCH and self._connections.fewer_elsewhere():
                self._waited += 1
                self._pause(LOOK_S)
                return
            try:
                connection, _ = self._listening.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    continue  # it was over before it was taken
                log.error("no new connections for %g s: %s", EXHAUSTED_S, error)  # noqa: TRY400  a trace says no more
                self._pause(EXHAUSTED_S)
                return
            self._hand_on(connection)
        self._waited = 0

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listening.fileno())
        self._later = self._loop.call_later(seconds, self._listen)

    def _hand_on(self, connection: socket.socket) -> None:
        self._connections.add(1)
        task = self._loop.create_task(self._connect(connection))
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)

    async def _connect(self, connection: socket.socket) -> None:
        """To a protocol, which counts it from then on; who does not shake hands is passed over."""
        connection.setblocking(False)
        try:
            with suppress(OSError):  # of which the errors of TLS are
                await self._loop.connect_accepted_socket(
                    self._protocols,
                    connection,
                    ssl=self._tls,
                    ssl_handshake_timeout=HANDSHAKE_S if self._tls else None,
                )
        finally:
            self._connections.add(-1)
