"""The pulse of a worker: what is too dear to do for each request is done twenty times a second.

Decisions
- What a turn of the event loop takes is how long a request may lie in its socket before anybody
  sees it; the admission adds it to what the request will wait.
- Refusals are counted in plain integers and written to the metrics here: a metric costs more than
  a refusal.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from service.api.middleware import NO_SCENARIO
from service.load.admission import REASONS, Admission
from service.load.effort import EffortSteps
from service.watch.telemetry import Telemetry

PERIOD_S = 0.05
SMOOTHING = 0.25  # weight of one turn in the mean


class Pulse:
    """Of one worker; `run` is a task of its event loop until it is cancelled."""

    def __init__(self, admission: Admission, effort: EffortSteps, telemetry: Telemetry) -> None:
        self._admission, self._effort, self._telemetry = admission, effort, telemetry
        self._written: Counter[str] = Counter()

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            await asyncio.sleep(PERIOD_S)
            began = time.perf_counter()
            await asyncio.sleep(0)
            self.beat(time.perf_counter() - began)

    def beat(self, turn_s: float) -> None:
        """A turn of the loop took this long; bring everything up to date."""
        admission, telemetry = self._admission, self._telemetry
        admission.lag_s += SMOOTHING * (turn_s - admission.lag_s)
        self._effort.recover()
        telemetry.write()
        telemetry.in_flight.set(admission.in_flight)
        telemetry.in_flight_limit.set(admission.limit)
        telemetry.service_seconds.set(admission.service_s)
        telemetry.loop_lag.set(admission.lag_s)
        telemetry.search_effort.set(self._effort.effort.share)
        for reason in REASONS:
            refused = admission.counts[reason]
            telemetry.overloaded.labels(reason).inc(refused - self._written[reason])
            self._written[reason] = refused
        for route, refused in admission.unparsed.items():
            telemetry.requests.labels(route, NO_SCENARIO, 503).inc(refused - self._written[route])
            self._written[route] = refused
