"""A few lists are looked at again, in the background: was their recall as promised, do users drift?

Decisions
- One thread per worker, with a short queue: what does not fit is dropped and counted, so requests
  never wait for it.
- It takes at most SHARE of one core, by resting after each fraction of a millisecond of work. A low
  priority instead would do harm: the thread needs the interpreter's lock now and then, and one that
  is pushed off its core while it has it holds up all requests of the worker. Scanning 300,000 items
  on two busy cores without a rest, the longest such wait was 26 ms at nice 19 and 130 ms with
  SCHED_IDLE; with rests it was none that could be told from the noise.
- A fault here is logged, once a minute at most, and ends nothing.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from contextlib import suppress

from service.retrieval.retriever import Query, Retrieved
from service.snapshots.snapshot import Snapshot
from service.watch.drift import Drift
from service.watch.recall import recall_of
from service.watch.sample import Sample
from service.watch.telemetry import Telemetry
from service.weights.scenarios import InForce

log = logging.getLogger(__name__)

SHARE = 0.05
WAITING = 8  # samples
COMPLAIN_S = 60.0


class Sampling:
    """Takes samples from any thread; a thread of its own judges them from start() to stop()."""

    def __init__(self, share: float, telemetry: Telemetry) -> None:
        self._share, self._telemetry = share, telemetry
        self._drift = Drift()
        self._waiting: queue.Queue[Sample | None] = queue.Queue(WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._judge_all, name="sampling", daemon=True)
        self._worked = self._complained = 0.0

    def offer(self, snapshot: Snapshot, weights: InForce, query: Query, found: Retrieved) -> None:
        """Take this list as a sample, with the probability that was set."""
        if random.random() >= self._share:  # noqa: S311  (no secret)
            return
        try:
            self._waiting.put_nowait(
                Sample(snapshot, weights.scenario, weights.whose, query, found)
            )
        except queue.Full:
            self._telemetry.samples.labels("dropped").inc()

    def start(self) -> None:
        """Judge what is offered."""
        if self._share:
            self._thread.start()

    def stop(self) -> None:
        """Leave the rest unjudged."""
        self._stopping.set()
        if self._thread.is_alive():
            with suppress(queue.Full):  # nobody waits for the first then
                self._waiting.put_nowait(None)
            self._thread.join(timeout=5)

    def _judge_all(self) -> None:
        while (sample := self._waiting.get()) and not self._stopping.is_set():
            self._worked = time.thread_time()
            try:
                self._judge(sample)
            except Exception:
                if time.monotonic() - self._complained > COMPLAIN_S:
                    self._complained = time.monotonic()
                    log.exception("a sampled list of %s could not be judged", sample.scenario)
            del sample  # an old snapshot is not kept until the next sample comes

    def _judge(self, sample: Sample) -> None:
        recall = recall_of(sample, self._rest)
        if recall is not None:
            effort = "full" if sample.found.search.effort == 1 else "reduced"
            self._telemetry.recall.labels(sample.scenario, effort).observe(recall)
        for signal, tenth in self._drift.tenths(sample, self._rest):
            for place in range(1, 11):  # all ten, so that an empty one shows as 0
                counter = self._telemetry.drift_users.labels(sample.scenario, signal, place)
                counter.inc(place == tenth)
        self._telemetry.samples.labels("judged").inc()
        self._rest()

    def _rest(self) -> None:
        """Rest in proportion to what was worked since the last rest."""
        spent = time.thread_time() - self._worked
        self._telemetry.sample_seconds.inc(spent)
        self._stopping.wait(spent * (1 / SHARE - 1))
        self._worked = time.thread_time()
