"""The pulse of a worker: what is too dear to do for each request is done twenty times a second.

Decisions
- What a turn of the event loop takes is how long a request may lie in its socket before anybody
  sees it; the admission adds it to what the request will wait.
- Refusals are counted in plain integers and written to the metrics here: a metric costs more than
  a refusal. On leaving, what was counted since the last beat is written too.
- A fault here is logged, once a minute at most, and the next beat comes all the same.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter

from service.api.middleware import NO_SCENARIO
from service.load.admission import REASONS, Admission
from service.load.effort import EffortSteps
from service.watch.telemetry import Telemetry

log = logging.getLogger(__name__)

PERIOD_S = 0.05
SMOOTHING = 0.25  # weight of one turn in the mean
COMPLAIN_S = 60.0


class Pulse:
    """Of one worker; `run` is a task of its event loop until it is cancelled."""

    def __init__(self, admission: Admission, effort: EffortSteps, telemetry: Telemetry) -> None:
        self._admission, self._effort, self._telemetry = admission, effort, telemetry
        self._written: Counter[str] = Counter()
        self._complained = -math.inf

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            await asyncio.sleep(PERIOD_S)
            began = time.perf_counter()
            await asyncio.sleep(0)
            try:
                self.beat(time.perf_counter() - began)
            except Exception:
                if time.monotonic() - self._complained > COMPLAIN_S:
                    self._complained = time.monotonic()
                    log.exception("metrics may be late, or the effort as it was")

    def beat(self, turn_s: float) -> None:
        """A turn of the loop took this long; bring everything up to date."""
        admission, telemetry = self._admission, self._telemetry
        admission.lag_s += SMOOTHING * (turn_s - admission.lag_s)
        self._effort.recover()
        telemetry.in_flight.set(admission.in_flight)
        telemetry.in_flight_limit.set(admission.limit)
        telemetry.service_seconds.set(admission.service_s)
        telemetry.loop_lag.set(admission.lag_s)
        telemetry.search_effort.set(self._effort.effort.share)
        self.write()

    def write(self) -> None:
        """Show in the metrics what was counted since they were written last."""
        admission, telemetry = self._admission, self._telemetry
        telemetry.write()
        for reason in REASONS:
            refused = admission.counts[reason]
            telemetry.overloaded.labels(reason).inc(refused - self._written[reason])
            self._written[reason] = refused
        for route, refused in admission.unparsed.items():
            telemetry.requests.labels(route, NO_SCENARIO, 503).inc(refused - self._written[route])
            self._written[route] = refused
