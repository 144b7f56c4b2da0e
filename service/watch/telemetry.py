"""Metrics, right with any number of workers behind one port.

Decisions
- Each worker counts for itself; scrape.py adds all of them up.
- What a metric counts under its labels is looked up in a plain cache: `labels` of the library costs
  as much as counting does.
- Labels are bounded: known scenarios, their variants, status codes, features of the schema,
  published pairs, ways in which a look-up ends.
- Every metric is listed in docs/operations.md; a test compares the two.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.retrieval.users import User
from service.snapshots.refusal import REASONS, Reason
from service.snapshots.snapshot import Snapshot
from service.watch.scrape import REFRESHED, SERVED_BY
from service.watch.tally import Tally
from service.weights.board import Records
from service.weights.record import DEFAULT_SCENARIO

OverLiveWorkers = Literal["livesum", "livemin", "livemax"]
Quick = TypeVar("Quick", Counter, Histogram)
BUCKETS = (
    *(0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02),
    *(0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
RECALLS = (0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0)


class Telemetry:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter(
            "csmf_requests_total",
            "Answers of routes that retrieve or score, by the scenario that served, and of the "
            "operators' routes, all as /scenarios; by status.",
            ["route", "scenario", "status"],
        )
        self.lists = self._counter(
            "csmf_lists_total",
            "Lists returned, by whose weights served: own, schedule, request or variant:<name>.",
            ["scenario", "weights"],
        )
        self.request_seconds = Tally(
            self._histogram(
                "csmf_request_seconds",
                "Time of such a request inside a worker.",
                ["route"],
            )
        )
        self.stage_seconds = Tally(
            self._histogram(
                "csmf_stage_seconds",
                "Time of one stage of a /retrieve request: features, queue, encode, tower, search, "
                "respond.",
                ["stage"],
            )
        )
        self.in_flight = self._gauge(
            "csmf_in_flight_requests",
            "Requests that are queued or computed.",
            "livesum",
        )
        self._define_load()
        self.unknown_features = self._counter(
            "csmf_unknown_features_total", "Features sent that the user tower does not read."
        )
        self.unknown_categories = self._counter(
            "csmf_unknown_categories_total",
            "Values sent that are outside a feature's vocabulary.",
            ["feature"],
        )
        self.features = self._counter(
            "csmf_features_total",
            "Users by where features that the request lacked came from, as in the answer's "
            "`features`.",
            ["features"],
        )
        self.features_failures = self._counter(
            "csmf_features_failures_total",
            "Look-ups in the feature store without an answer: late, away, refused, or skipped "
            "after several of those.",
            ["reason"],
        )
        self.features_unreadable = self._counter(
            "csmf_features_unreadable_total",
            "Stored values that are not what the user tower reads and were left out.",
            ["feature"],
        )
        self.refused_callers = self._counter(
            "csmf_refused_callers_total",
            "Requests refused for want of a known key (401) or of a role (403).",
            ["status"],
        )
        self.weights_put_back = self._counter(
            "csmf_weights_put_back_total",
            "Scenarios whose weights the store had lost and a worker put back into it, with their "
            "history.",
        )
        self._define_samples()
        self._define_state()
        self._served: tuple[str, str] | None = None  # run_id, build_id

    def _define_load(self) -> None:
        """How much a worker takes on, and what it does to take on more."""
        self.in_flight_limit = self._gauge(
            "csmf_in_flight_limit",
            "Requests that workers would take on at once; less than is set while overloaded.",
            "livesum",
        )
        self.overloaded = self._counter(
            "csmf_overloaded_total",
            "Requests refused because a worker was full, because the answer would have come after "
            "its deadline, dropped from the queue, or whose client was gone before its turn.",
            ["reason"],
        )
        self.search_effort = self._gauge(
            "csmf_search_effort",
            "Share of the cells that recall needs which searches visit, if the floor of recall "
            "allows it; of the worker that is furthest down.",
            "livemin",
        )
        self.service_seconds = self._gauge(
            "csmf_service_seconds",
            "Mean time of an answer without waiting, of the slowest worker.",
            "livemax",
        )
        self.loop_lag = self._gauge(
            "csmf_loop_lag_seconds",
            "Time of one turn of the event loop, of the slowest worker: how long a request lies "
            "unseen.",
            "livemax",
        )

    def _define_samples(self) -> None:
        """What a closer look at some lists finds."""
        self.samples = self._counter(
            "csmf_samples_total",
            "Lists sampled for recall and drift: judged, or dropped because too many waited.",
            ["outcome"],
        )
        self.sample_seconds = self._counter(
            "csmf_sample_seconds_total", "Processor time spent on judging sampled lists."
        )
        self.recall = self._histogram(
            "csmf_recall_ratio",
            "Recall of a sampled list against an exact search, at full or reduced effort.",
            ["scenario", "effort"],
            RECALLS,
        )
        self.drift_users = self._counter(
            "csmf_drift_users_total",
            "Users of sampled lists, by the tenth of the index's calibration users they are in.",
            ["scenario", "signal", "tenth"],
        )

    def _define_state(self) -> None:
        """What a worker serves from; each gauge shows the worker that is furthest behind."""
        self.weights_version = self._gauge(
            "csmf_weights_version",
            "Weights version of a scenario, in the worker that is furthest behind.",
            "livemin",
            ["scenario"],
        )
        self.weights_refreshed = self._gauge(
            REFRESHED,
            "Unix time of the weights store's last answer, in the worker furthest behind.",
            "livemin",
        )
        self.weights_refreshed.set(time.time())  # until the first answer, age counts from here
        self.weights_unfit = self._gauge(
            "csmf_weights_unfit_scenarios",
            "Scenarios with weights that do not fit the bundle and are passed over.",
            "livemax",
        )
        self.snapshot_workers = self._gauge(
            SERVED_BY,
            "Workers that serve this pair of bundle and index.",
            "livesum",
            ["run_id", "build_id"],
        )
        self.snapshot_refused = self._gauge(
            "csmf_snapshot_refused",
            "1 while a worker refuses what CURRENT names, for this reason, and serves an older "
            "pair.",
            "livemax",
            ["reason"],
        )
        self.keys_unreadable = self._gauge(
            "csmf_keys_unreadable",
            "1 while a worker cannot read the file of keys and goes by those it had.",
            "livemax",
        )
        self.recall_promised = self._gauge(
            "csmf_recall_promised_ratio",
            "Recall that the served index was built to reach; 1 if it is exact.",
            "livemin",
        )
        self.catalogue_position = self._gauge(
            "csmf_catalogue_position",
            "Last change of the catalogue that is served, in the worker furthest behind.",
            "livemin",
        )
        self.catalogue_refused = self._gauge(
            "csmf_catalogue_refused",
            "1 while a worker refuses the newest changes of the catalogue and serves older ones.",
            "livemax",
        )
        self.delta_items = self._gauge(
            "csmf_catalogue_delta_items",
            "Items served beside the index: new or updated since it was built.",
            "livemax",
        )

    def observe_stages(self, seconds: dict[str, float]) -> None:
        """Time spent in each stage of one request."""
        for stage, spent in seconds.items():
            self.stage_seconds.add(stage, spent)

    def write(self) -> None:
        """Count what was kept of it; to be called often, and before a scrape."""
        self.request_seconds.write()
        self.stage_seconds.write()

    def observe_user(self, user: User, features: str | None) -> None:
        """Where one user's features came from, and what the towers could not read of them."""
        if features:
            self.features.labels(features).inc()
        for feature in user.unreadable:
            self.features_unreadable.labels(feature).inc()
        if user.unknown_features:
            self.unknown_features.inc(len(user.unknown_features))
        for feature, count in user.unknown_categories.items():
            self.unknown_categories.labels(feature).inc(count)

    def observe_weights(self, records: Records, refreshed_at: float | None) -> None:
        """These records are in force, and when the store answered last, if it has."""
        if refreshed_at:
            self.weights_refreshed.set(refreshed_at)
        versions = {DEFAULT_SCENARIO: 0} | {
            name: record.version for name, record in records.items()
        }
        for scenario, version in versions.items():
            self.weights_version.labels(scenario).set(version)

    def observe_snapshot(
        self, snapshot: Snapshot, refused: Reason | None, changes_refused: bool
    ) -> None:
        """This snapshot is served; why a newer one is not, and whether newer changes are not."""
        self.catalogue_refused.set(changes_refused)
        for reason in REASONS:
            self.snapshot_refused.labels(reason).set(reason == refused)
        served = (snapshot.run_id, snapshot.build_id)
        if self._served and self._served != served:
            self.snapshot_workers.labels(*self._served).set(0)
        self.snapshot_workers.labels(*served).set(1)
        effort = snapshot.index.effort
        self.recall_promised.set(effort.target_recall if effort else 1.0)
        self.catalogue_position.set(snapshot.index.position)
        self.delta_items.set(snapshot.index.beside)
        self._served = served

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return _quick(Counter(name, text, labels, registry=self.registry))

    def _histogram(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = BUCKETS,
    ) -> Histogram:
        return _quick(Histogram(name, text, labels, buckets=buckets, registry=self.registry))

    def _gauge(
        self, name: str, text: str, over: OverLiveWorkers, labels: Sequence[str] = ()
    ) -> Gauge:
        """A gauge that a scrape shows as the sum, least or largest over live workers."""
        return Gauge(name, text, labels, multiprocess_mode=over, registry=self.registry)


def _quick(metric: Quick) -> Quick:
    metric.labels = cache(metric.labels)  # type: ignore[method-assign]
    return metric
