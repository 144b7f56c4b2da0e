"""What a closer look at some lists finds: their recall, where their users lie; and its cost."""

import re
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from support.waiting import within

from bundle.weights import ObjectiveWeights
from service.retrieval.retriever import Query, retrieve
from service.snapshots.loading import load_snapshot
from service.watch import sampling
from service.watch.drift import Drift, tenth
from service.watch.recall import recall_of
from service.watch.sample import Sample
from service.watch.sampling import Sampling
from service.watch.telemetry import Telemetry
from service.weights.scenarios import InForce

WEIGHTS = ObjectiveWeights.parse(
    {"exposure": 1, "click": 2, "conversion": 1}, ["exposure", "click", "conversion"]
)
EVEN = 0.1


@pytest.fixture(scope="module")
def snapshot(release):
    return load_snapshot(release.releases)


def sample(snapshot, user, k=10, whose="own", rows=None, **fields):
    query = Query(user, WEIGHTS, k, **fields)
    found = retrieve(snapshot, query)
    if rows is not None:
        found = replace(found, search=replace(found.search, rows_K=rows(found.search.rows_K)))
    return Sample(snapshot, "feed", whose, query, found)


def no_rest():
    """Go on at once."""


def test_an_exact_list_has_recall_1_also_a_short_one(snapshot, users):
    ids = [key.decode() for key in snapshot.index.ids_N]
    for k, exclude in ((10, ids[:50]), (1000, []), (10, ids[4:])):
        assert recall_of(sample(snapshot, users[0], k, exclude=exclude), no_rest) == 1.0


def test_recall_is_the_share_of_the_best_that_was_found(snapshot, users):
    worst = retrieve(snapshot, Query(users[0], WEIGHTS, 300)).search.rows_K[-3:]
    missing = sample(snapshot, users[0], rows=lambda rows_K: np.append(rows_K[:7], worst))
    assert recall_of(missing, no_rest) == pytest.approx(0.7)
    short = sample(snapshot, users[0], rows=lambda rows_K: rows_K[:6])
    assert recall_of(short, no_rest) == pytest.approx(0.6)


def test_items_of_equal_score_are_as_good_as_each_other(snapshot, users):
    index = replace(snapshot.index, vectors_NM=np.ones_like(snapshot.index.vectors_NM))
    tied = sample(replace(snapshot, index=index), users[0], rows=lambda rows_K: 299 - rows_K)
    assert recall_of(tied, no_rest) == 1.0


def test_there_is_no_recall_where_nothing_could_be_found(snapshot, users):
    ids = [key.decode() for key in snapshot.index.ids_N]
    assert recall_of(sample(snapshot, users[0], exclude=ids), no_rest) is None


def test_equal_values_are_spread_evenly_over_the_tenths_they_fill():
    drawn = Counter(tenth(1.0, np.ones(500, np.float32)) for _ in range(5000))
    assert all(400 < drawn[place] < 600 for place in range(1, 11))


@pytest.mark.parametrize(("value", "expected"), [(-5.0, 1), (0.55, 6), (9.0, 10)])
def test_a_value_is_in_the_tenth_of_its_rank(value, expected):
    assert tenth(value, np.linspace(0, 1, 1000).astype(np.float32)) == expected


def shift(snapshot, records):
    """Per signal, the population stability index of these users' tenths."""
    drift, counts = Drift(), {}
    for record in records:
        for signal, place in drift.tenths(sample(snapshot, record), no_rest):
            counts.setdefault(signal, Counter())[place] += 1
    shares = {
        signal: np.array([max(found[place], 0.5) for place in range(1, 11)]) / found.total()
        for signal, found in counts.items()
    }
    return {name: float(((p - EVEN) * np.log(p / EVEN)).sum()) for name, p in shares.items()}


def test_users_like_those_of_calibration_do_not_drift_and_users_without_features_do(
    snapshot, users
):
    same = shift(snapshot, users)
    assert set(same) == {"norm", "score:exposure", "score:click", "score:conversion"}
    assert max(same.values()) < 0.15
    assert min(shift(snapshot, [{}] * len(users)).values()) > 0.5


def test_scores_are_left_out_where_they_could_not_be_compared(snapshot, users):
    drift = Drift()
    lists = [
        sample(snapshot, users[0], whose="request"),
        sample(snapshot, users[0], k=9),
    ]
    assert [[name for name, _ in drift.tenths(each, no_rest)] for each in lists] == [["norm"]] * 2


def offer(taking, snapshot, users, times):
    query = Query(users[0], WEIGHTS, 10)
    found = retrieve(snapshot, query)
    for _ in range(times):
        taking.offer(snapshot, InForce("feed", 1, WEIGHTS), query, found)


def count(telemetry, outcome):
    return telemetry.samples.labels(outcome)._value.get()


def test_what_does_not_fit_the_queue_is_dropped_and_counted(snapshot, users):
    telemetry = Telemetry()
    offer(Sampling(1.0, telemetry), snapshot, users, 20)
    assert count(telemetry, "dropped") == 20 - sampling.WAITING


def test_nothing_is_taken_where_nothing_was_asked_for(snapshot, users):
    telemetry = Telemetry()
    offer(Sampling(0.0, telemetry), snapshot, users, 20)
    assert count(telemetry, "dropped") == 0


def test_a_list_that_cannot_be_judged_ends_nothing(snapshot, users, monkeypatch, caplog):
    telemetry = Telemetry()
    taking = Sampling(1.0, telemetry)
    judge, faults = sampling.recall_of, [1, 1]
    monkeypatch.setattr(
        sampling, "recall_of", lambda *given: 1 / 0 if faults and faults.pop() else judge(*given)
    )
    taking.start()
    offer(taking, snapshot, users, 3)
    assert within(30, lambda: count(telemetry, "judged") == 1)
    taking.stop()
    assert caplog.text.count("could not be judged") == 1


def test_it_takes_a_small_part_of_a_core_and_ends_when_told(snapshot, users):
    telemetry = Telemetry()
    taking = Sampling(1.0, telemetry)
    taking.start()
    began = time.monotonic()
    while count(telemetry, "judged") < 100:
        offer(taking, snapshot, users, 1)
        time.sleep(0.001)
    spent = telemetry.sample_seconds._value.get()
    resting_for = 0.02  # a piece of work whose rest has not ended
    assert spent < 0.1 * (time.monotonic() - began) + resting_for
    taking.stop()
    assert not taking._thread.is_alive()


def test_a_scrape_shows_recall_of_live_lists_beside_what_was_promised(open_client, users):
    client = open_client(recall_sample=1)
    filters = [[], [{"attribute": "in_stock", "equals": True}]]
    for number in range(10):
        body = {"user": users[number], "k": 20, "filter": filters[number % 2]}
        assert client.post("/retrieve", json=body).status_code == 200
    body = {"users": users[:3], "k": 20}
    assert client.post("/retrieve/batch", json=body).status_code == 200

    def figure(name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    outcomes = [f'csmf_samples_total{{outcome="{name}"}}' for name in ("judged", "dropped")]
    assert within(60, lambda: sum(map(figure, outcomes)) == 13)
    judged = figure(outcomes[0])
    assert judged >= 1
    for part in ("count", "sum"):
        assert figure(f'csmf_recall_ratio_{part}{{effort="full",scenario="default"}}') == judged
    assert figure("csmf_recall_promised_ratio") == 1.0
    assert 'csmf_drift_users_total{scenario="default",signal="norm",tenth="' in (
        client.get("/metrics").text
    )
