"""A bound on the time in which a client reads its answer.

An answer that nobody reads keeps its request, and the request its place. Whoever has not read on
for WRITE_S, so that what is written finds no room, loses the connection.
"""

from __future__ import annotations

import asyncio

from service.api.head import BoundedProtocol

WRITE_S = 10.0


class UnstalledProtocol(BoundedProtocol):
    """One connection."""

    _patience: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """There is no room for more: wait for the client, but not for ever."""
        super().pause_writing()
        self._patience = self.loop.call_later(WRITE_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read on."""
        self._lose_interest()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        self._lose_interest()
        super().connection_lost(exc)

    def _lose_interest(self) -> None:
        if self._patience:
            self._patience.cancel()
            self._patience = None
