"""Whether to ask a store that may be dead: a circuit breaker.

After FAILURES in a row nobody asks for PAUSE_S; then one does for all, until it answers. So a dead
store costs one request a second its deadline, and the others nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FAILURES = 5
PAUSE_S = 1.0


class CircuitBreaker:
    """Counts failures in a row. Used by one thread: that of the event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._failed, self._until = clock, 0, 0.0

    @property
    def open(self) -> bool:
        """Whether the store is given up for now."""
        return self._failed >= FAILURES

    def allows(self) -> bool:
        """Whether to ask. After a pause the first who wants to know asks, the others go on."""
        if not self.open:
            return True
        if self._clock() < self._until:
            return False
        self._until = self._clock() + PAUSE_S
        return True

    def note(self, *, answered: bool) -> bool:
        """Count an answer or the lack of one; whether that opened or closed it."""
        was_open = self.open
        self._failed = 0 if answered else self._failed + 1
        self._until = self._clock() + PAUSE_S
        return self.open != was_open
