"""How many requests a worker takes on, from what it measures of itself.

Decisions
- As long as all find a place, nobody is turned away: bursts may queue, and so may callers who ask
  one after the other. Once somebody is refused, a queue that is never empty is of no use: whoever
  joins it waits as long as the whole of it, and the worker answers no more for it. So the limit is
  cut by what stood in the queue even at its emptiest over the last WINDOW answers, and what was in
  the queue beyond the limit is dropped, oldest first: those have waited longest, and their callers
  are the likeliest to be gone.
- A queue that is empty now and then while others are refused is too short: the limit grows by one.
  So it does after a window in which nobody was refused, until a worker that is no longer overloaded
  takes on all that it is set to hold. A queue that shrinks is not cut: that was a pause.
- There is no target in milliseconds. Under overload the queue settles at the shortest that keeps
  the worker busy, whatever one answer takes: on a simulated worker at 1.5 to 5 times its capacity
  at four to two requests, with 95 % of its time well spent.
- What an answer takes is measured from when its body was there, or from when the worker was done
  with the one before, if that was later: parsing and writing count, waiting does not.
- Requests that wait for another service (the feature store) keep no place: they wait without
  costing anything, and what their answer takes is measured from when they are back. All that is in
  flight stays within the bound that is set.
- What nobody waits for any more is not computed: clients that give up and ask again would keep a
  worker busy for ever with answers to nobody.
- Whoever was turned away for want of a place shows pressure. One deadline that was not kept, or one
  client that gave up, does not: a caller in a hurry must not cost all others recall. Deadlines do
  that an idle worker would have kept, where it keeps few of them.
- A worker that has nothing else to do answers whatever the deadline says: what it measured may have
  been a bad moment, and only another answer can tell.

    reason = admission.refusal(budget_s)      # None, or why not
    turn = admission.enter(budget_s)
    …
    admission.leave(turn)
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

WINDOW = 64  # answers between looks at the queue
SPARE = 3  # of them, how many may leave the worker idle: 5 %
LATE = WINDOW // 4  # deadlines not kept in a window that are pressure
SMOOTHING = 1 / 32  # weight of one answer in the mean time of an answer

Reason = Literal["full", "deadline", "dropped", "gone"]
REASONS: tuple[Reason, ...] = ("full", "deadline", "dropped", "gone")


def _there() -> bool:
    return False


@dataclass
class Turn:
    """One request that was taken on."""

    entered: float
    deadline: float  # by the same clock; infinite without one
    gone: Callable[[], bool] = _there  # whether its client is
    dropped: Reason | None = None


TURN: ContextVar[Turn | None] = ContextVar("turn", default=None)  # of the request at hand


class Admission:
    """Of one worker, which computes one answer at a time; used by its event loop."""

    def __init__(
        self,
        most: int,
        on_window: Callable[[bool], None] = lambda pressed: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.limit = most  # in flight, now
        self.in_flight = 0
        self.coming = 0  # on their way here: the loop has them, the gate has not seen them
        self.counts: Counter[Reason] = Counter()  # refused, since the start
        self.unparsed: Counter[str] = Counter()  # of these, on their connection, by route
        self.service_s = 0.0  # mean time of an answer; 0 until there was one
        self.lag_s = 0.0  # how long a request lies in its socket before it is seen
        self._on_window, self._clock = on_window, clock
        self._most = most
        self._left: list[int] = []  # in flight after each answer of this window
        self._refused = 0  # in this window
        self._crowded, self._late = 0, 0  # of these: for want of a place, of time for the others
        self._elsewhere = 0  # of those in flight, who wait for another service
        self._answered = -math.inf  # the last one, when

    @property
    def here(self) -> int:
        """In flight, and waiting for this worker."""
        return self.in_flight - self._elsewhere

    @property
    def expected_s(self) -> float:
        """From the arrival to the answer of a request that is seen now."""
        return self.lag_s + self.service_s * (1 + self.here)

    def turns_away(self, route: str) -> bool:
        """Whether a request finds no place even before it is read; it is counted then."""
        if not self._full(self.coming):
            return False
        self._count("full")
        self.unparsed[route] += 1
        return True

    def came(self) -> None:
        """A request that was on its way has entered, or never will."""
        self.coming -= 1

    def refusal(self, budget_s: float = math.inf) -> Reason | None:
        """Why a request that may take this long is not taken on; None if it may enter."""
        reason: Reason | None = None
        if self._full(0):
            reason = "full"
        elif self.here and self.expected_s > budget_s:
            reason = "deadline"
            self._late += budget_s >= self.lag_s + self.service_s
        if reason:
            self._count(reason)
        return reason

    def enter(self, budget_s: float = math.inf, gone: Callable[[], bool] = _there) -> Turn:
        """Take a request on; give its turn back to `leave`."""
        self.in_flight += 1
        now = self._clock()
        return Turn(now, now - self.lag_s + budget_s, gone)

    def drops(self, turn: Turn) -> bool:
        """Whether to drop a request whose turn to be computed has come."""
        late = self._clock() + self.service_s > turn.deadline
        if turn.gone():
            turn.dropped = "gone"
        elif self.here > self.limit:
            turn.dropped = "dropped"
        elif late and self.here > 1:
            turn.dropped = "deadline"
            self._late += 1
        return turn.dropped is not None

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """While this lasts, the request at hand needs nothing of this worker."""
        self._elsewhere += 1
        try:
            yield
        finally:
            self._elsewhere -= 1
            if turn := TURN.get():
                turn.entered = self._clock()

    def leave(self, turn: Turn) -> None:
        """A request is over; one that was dropped says nothing of what an answer takes."""
        self.in_flight -= 1
        if turn.dropped:
            self._count(turn.dropped)
            return
        now = self._clock()
        spent = now - max(turn.entered, self._answered)
        self._answered = now
        self.service_s += (SMOOTHING if self.service_s else 1) * (spent - self.service_s)
        self._left.append(self.here)
        if len(self._left) == WINDOW:
            self._look()

    def _full(self, coming: int) -> bool:
        return self.here + coming >= self.limit or self.in_flight + coming >= self._most

    def _count(self, reason: Reason) -> None:
        self._refused += 1
        self._crowded += reason in ("full", "dropped")
        self.counts[reason] += 1

    def _look(self) -> None:
        """Set the limit by what the window showed."""
        emptiest = sorted(self._left)[SPARE]
        standing, shrinking = emptiest - 1, self._left[-1] < self._left[0]
        crowded = self._crowded > 0 or standing > self.limit / 2
        self._on_window(crowded or self._late > LATE)
        if not self._refused or not emptiest:
            self.limit = min(self._most, self.limit + 1)
        elif standing > 0 and not shrinking:
            longest = min(self.limit, max(self._left) + 1)
            self.limit = max(2, longest - standing)
        self._left.clear()
        self._refused, self._crowded, self._late = 0, 0, 0
