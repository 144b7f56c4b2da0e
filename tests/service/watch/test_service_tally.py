"""A tally gives the counts that observing one by one gives, once it is written."""

import threading

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from service.watch.tally import Tally

BOUNDS = (0.001, 0.01, 0.1)
AMOUNTS = st.sampled_from([0.0, *BOUNDS]) | st.floats(0, 1, width=32)


def histogram():
    registry = CollectorRegistry()
    return Histogram("spent", "Seconds.", ["stage"], buckets=BOUNDS, registry=registry), registry


def counts(registry):
    text = generate_latest(registry).decode()
    return {name: float(value) for name, _, value in (
        line.rpartition(" ") for line in text.splitlines()
        if line.startswith(("spent_bucket", "spent_count"))
    )}  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["search", "tower"]), AMOUNTS)))
def test_what_was_added_counts_as_if_it_had_been_observed(seen):
    (observed, one), (added, other) = histogram(), histogram()
    tally = Tally(added)
    for stage, amount in seen:
        observed.labels(stage).observe(amount)
        tally.add(stage, amount)
    tally.write()
    tally.write()
    assert counts(other) == counts(one)
    for stage in {stage for stage, _ in seen}:
        total = sum(amount for each, amount in seen if each == stage)
        found = other.get_sample_value("spent_sum", {"stage": stage})
        assert abs(found - total) < 1e-9


def test_nothing_is_lost_or_counted_twice_when_threads_add_and_write_at_once():
    spent, registry = histogram()
    tally = Tally(spent)

    def work():
        for _ in range(2000):
            tally.add("search", 0.005)
            tally.write()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.get_sample_value("spent_count", {"stage": "search"}) == 8000
