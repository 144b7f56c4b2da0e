"""How thoroughly a worker searches: in full, and under pressure less, step by step.

Decisions
- Down fast, up slowly: a step down after DOWN_S of pressure without a break, a step up after UP_S
  without any. A worker that answers more because it searches less would be back under pressure at
  once if it forgot as fast.
- Pressure is the admission's word for it: somebody found no place, many deadlines were not kept, or
  the queue was never short.
- Steps are shares of the cells that recall needs. How far a list really goes down is decided by the
  recall that was measured for it (retrieval/effort.py): the operator's floor holds at every step.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from service.retrieval.effort import Effort

log = logging.getLogger(__name__)

SHARES = (1.0, 0.7, 0.5, 0.35)
DOWN_S = 0.5
UP_S = 5.0


class EffortSteps:
    """Of one worker; `effort` is what its searches get now."""

    def __init__(self, recall_floor: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._steps = [Effort(share, recall_floor) for share in SHARES]
        self._clock, self._step = clock, 0
        self._pressed_since: float | None = None
        self._quiet_since = clock()

    @property
    def effort(self) -> Effort:
        """In force."""
        return self._steps[self._step]

    def note(self, pressed: bool) -> None:
        """The last answers were given under pressure, or not."""
        now = self._clock()
        if not pressed:
            self._pressed_since = None
            return
        self._quiet_since = now
        if self._pressed_since is None:
            self._pressed_since = now
        elif now - self._pressed_since >= DOWN_S and self._step + 1 < len(self._steps):
            self._pressed_since = now
            self._go(self._step + 1)

    def recover(self) -> None:
        """Go up a step if it was quiet for long enough; to be called often."""
        now = self._clock()
        if self._step and now - self._quiet_since >= UP_S:
            self._quiet_since = now
            self._go(self._step - 1)

    def _go(self, step: int) -> None:
        kind = "under pressure" if step > self._step else "quiet again"
        self._step = step
        log.warning("%s: searches visit %g of their cells", kind, self.effort.share)
