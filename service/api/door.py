"""The connection's side of the gate: refuses whole requests while the worker is full, unparsed.

Decisions
- What the app has been handed and the gate has not seen yet counts as taken on. Otherwise all that
  is ready in one turn of the event loop would find the worker empty.
- A connection on which requests were refused is closed when none came for twice the usual time: a
  timer for each refusal would cost a third of it.
- A client that sends and never reads is refused in the app, where writing waits for it. A worker
  that leaves answers there too, since each of its answers closes the connection.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from service.api.gate import CONNECTION, FEWER, on_the_wire, whole_request
from service.api.stalled import UnstalledProtocol
from service.load.admission import Admission
from service.load.connections import Connections, connections
from service.load.drain import Drain

REFUSAL = on_the_wire(FEWER.response(), HTTPStatus.SERVICE_UNAVAILABLE)
ADMISSION, DRAIN = "admission", "drain"  # in the state of the app's lifespan


class GatedProtocol(UnstalledProtocol):
    """One connection."""

    _admission: Admission
    _drain: Drain
    _connections: Connections
    _refused = False  # since the connection was last looked at

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Know whom to ask."""
        super().connection_made(transport)
        self._admission, self._drain = self.app_state[ADMISSION], self.app_state[DRAIN]
        self.app_state = {**self.app_state, CONNECTION: transport}
        self._connections = connections()
        self._connections.add(1)

    def connection_lost(self, exc: Exception | None) -> None:
        """One fewer."""
        self._connections.add(-1)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse it if it is one request too many; else hand it on."""
        route = whole_request(data) if self._between_requests() else None
        if route is None:
            super().data_received(data)
        elif self._may_refuse() and self._admission.turns_away(route):
            self._refuse_whole()
        else:
            super().data_received(data)
            self._admission.coming += 1
            self.loop.call_soon(self._admission.came)  # behind the first step of its task

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing came; a refusal is something."""
        if self._refused:
            self._refused = False
            self._keep_alive()
        else:
            super().timeout_keep_alive_handler()

    def _between_requests(self) -> bool:
        if self._in_head:
            return not self._begun and not self._head_bytes
        return bool(self.cycle.response_complete and not self.cycle.more_body)

    def _may_refuse(self) -> bool:
        return not self._drain.draining and not self.flow.write_paused

    def _refuse_whole(self) -> None:
        self.transport.write(REFUSAL)
        self._refused = True
        if self.timeout_keep_alive_task is None:
            self._stop_clock()
            self._keep_alive()

    def _keep_alive(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )
