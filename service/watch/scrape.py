"""The text of a scrape, over all workers behind one port.

Decisions
- A scrape reaches one worker, so workers write their values to files in PROMETHEUS_MULTIPROC_DIR
  (`csmf-serve` makes a fresh one) and whichever answers adds all of them up. Without that variable
  (an app inside another process) the values of this process are shown.
- Workers that died are dropped from gauges at each scrape; their counts stay.
- A pair that no worker serves any more is not shown as served by 0, or it would be for ever.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from service.watch.place import forget_the_dead, take_place

MULTIPROC_DIR = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
REFRESHED = "csmf_weights_refreshed_timestamp_seconds"
SERVED_BY = "csmf_snapshot_workers"
AGE = "csmf_weights_age_seconds"
AGE_HELP = "Seconds since the weights store last answered the worker it answered longest ago."


def render(own: CollectorRegistry) -> bytes:
    """All workers' metrics, or those of this process where workers do not share them."""
    directory = os.environ.get(MULTIPROC_DIR)
    if not directory:
        return generate_latest(_Shown(own))
    forget_the_dead(Path(directory))
    registry = CollectorRegistry()
    collector = MultiProcessCollector(registry, directory)  # type: ignore[no-untyped-call]  # untyped there
    try:
        return generate_latest(_Shown(collector))
    except FileNotFoundError:  # a worker left while its files were read
        return generate_latest(_Shown(collector))


def write_for_scrapes() -> None:
    """Let all workers' scrapes see the metrics that this process makes from now on."""
    if directory := os.environ.get(MULTIPROC_DIR):
        take_place(Path(directory))


class _Collects(Protocol):
    def collect(self) -> Iterable[Metric]: ...


class _Shown(CollectorRegistry):
    """A source of metrics, less what is over, plus what only the time of a scrape knows."""

    def __init__(self, source: _Collects) -> None:
        super().__init__()
        self._source = source

    def collect(self) -> Iterator[Metric]:
        for metric in self._source.collect():
            if metric.name == SERVED_BY:
                metric.samples = [sample for sample in metric.samples if sample.value]
            yield metric
            if metric.name == REFRESHED:
                refreshed = min(sample.value for sample in metric.samples)
                yield GaugeMetricFamily(AGE, AGE_HELP, max(0.0, time.time() - refreshed))
