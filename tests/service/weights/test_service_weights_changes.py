"""What changes of variants and schedules keep and what they refuse, in both stores alike."""

import multiprocessing
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.weights import changes
from service.weights.changes import (
    Change,
    ChangeError,
    NoScheduleError,
    cancel,
    roll_back,
    schedule,
    set_weights,
)
from service.weights.embedded import EmbeddedStore
from service.weights.record import MAX_VARIANTS
from service.weights.redis_store import RedisStore
from service.weights.slots import members
from service.weights.store import VersionConflictError
from service.weights.variants import UnknownVariantError, end_variant, promote, split

OWN = {"exposure": 1.0, "click": 1.0, "conversion": 1.0}
BOLD = {"exposure": 0.0, "click": 1.0, "conversion": 0.0}
SALE = {"exposure": 0.0, "click": 0.0, "conversion": 1.0}
CHANGE = Change("feed", "ana", "try it")
SOON = datetime.now(UTC) + timedelta(hours=1)
LATER = SOON + timedelta(hours=1)


@pytest.fixture(params=["embedded", "redis"])
def store(request, tmp_path):
    """A store that holds `feed` with its own weights, as version 1."""
    if request.param == "embedded":
        opened = EmbeddedStore(tmp_path / "weights.sqlite3")
    else:
        opened = RedisStore(request.getfixturevalue("empty_redis").url)
    set_weights(opened, CHANGE, OWN)
    return opened


def slots(record, name):
    return members(record.variants[name].slots)


def test_a_change_keeps_what_it_does_not_name(store):
    first = split(store, CHANGE, "bold", 0.1, BOLD)
    planned = schedule(store, CHANGE, SALE, SOON, LATER)
    changed = set_weights(store, CHANGE, SALE)
    assert (planned.variants, changed.variants) == (first.variants, first.variants)
    assert changed.schedule == planned.schedule
    assert store.history("feed", 9)[0] == store.current()["feed"] == changed
    moved = split(store, CHANGE, "bold", 0.2)
    assert (moved.weights, moved.schedule) == (SALE, planned.schedule)
    assert moved.variants["bold"].weights == BOLD
    other = split(store, CHANGE, "bold", weights=SALE)
    assert other.variants["bold"].slots == moved.variants["bold"].slots
    assert [record.version for record in store.history("feed", 9)] == [6, 5, 4, 3, 2, 1]


def test_a_variant_grows_into_free_slots_and_gives_back_its_own(store):
    split(store, CHANGE, "a", 0.25, BOLD)
    before = split(store, CHANGE, "b", 0.25, SALE)
    grown = split(store, CHANGE, "a", 0.75)
    assert slots(grown, "a") > slots(before, "a")
    assert slots(grown, "b") == slots(before, "b")
    assert len(slots(grown, "a") | slots(grown, "b")) == 10_000
    shrunk = split(store, CHANGE, "a", 0.0001)
    assert len(slots(shrunk, "a")) == 1
    assert slots(shrunk, "a") < slots(before, "a")


def test_a_share_larger_than_what_is_free_is_refused_and_says_what_is_free(store):
    split(store, CHANGE, "a", 0.65, BOLD)
    with pytest.raises(ChangeError, match=r"share: expected at most 0\.35, which no other variant"):
        split(store, CHANGE, "b", 0.36, SALE)
    assert list(split(store, CHANGE, "b", 0.35, SALE).variants) == ["a", "b"]


@pytest.mark.parametrize("share", [0.00005, 0.12345, -0.1, 1.0001, -1e308, float("nan")])
def test_shares_are_steps_of_a_hundredth_of_a_percent(store, share):
    with pytest.raises(ChangeError, match=r"share: expected a multiple of 0\.0001 from 0 to 1"):
        split(store, CHANGE, "bold", share, BOLD)
    assert store.current()["feed"].version == 1


def test_every_share_there_is_can_be_asked_for(store):
    split(store, CHANGE, "bold", 0, BOLD)
    for hundredths in (7, 29, 57, 1009, 1237, 9999, 10_000):  # some are not exact as floats
        record = split(store, CHANGE, "bold", hundredths / 10_000)
        assert record.variants["bold"].share == hundredths / 10_000


@pytest.mark.parametrize(
    ("name", "share", "weights", "field"),
    [
        ("bold", None, BOLD, "share"),
        ("bold", 0.1, None, "weights"),
        ("control", 0.1, BOLD, "variant"),
        ("there", None, None, "share"),
    ],
)
def test_a_split_that_says_too_little_is_refused_by_its_field(store, name, share, weights, field):
    split(store, CHANGE, "there", 0.1, BOLD)
    with pytest.raises(ChangeError) as refused:
        split(store, CHANGE, name, share, weights)
    assert refused.value.field == field
    assert store.current()["feed"].version == 2


def test_a_scenario_has_a_bounded_number_of_variants(store):
    for number in range(MAX_VARIANTS):
        split(store, CHANGE, f"v{number}", 0.01, BOLD)
    with pytest.raises(ChangeError, match="at most 20 variants; end one first"):
        split(store, CHANGE, "one-more", 0.01, BOLD)


def test_a_rollback_restores_weights_variants_and_schedule_to_the_slot(store):
    split(store, CHANGE, "a", 0.3, BOLD)
    split(store, CHANGE, "b", 0.3, SALE)
    wanted = schedule(store, CHANGE, SALE, SOON, LATER)
    end_variant(store, CHANGE, "a")
    split(store, CHANGE, "b", 0.9)
    cancel(store, CHANGE)
    set_weights(store, CHANGE, SALE)
    restored = roll_back(store, CHANGE, wanted.version)
    kept = ("weights", "variants", "schedule")
    assert [getattr(restored, name) for name in kept] == [getattr(wanted, name) for name in kept]
    bare = roll_back(store, CHANGE, 1)
    assert (bare.weights, bare.variants, bare.schedule) == (OWN, {}, None)


def test_a_promoted_variant_becomes_the_scenarios_weights_and_leaves_its_slots(store):
    split(store, CHANGE, "a", 0.3, BOLD)
    before = split(store, CHANGE, "b", 0.3, SALE)
    record = promote(store, CHANGE, "a")
    assert (record.weights, list(record.variants)) == (BOLD, ["b"])
    assert record.variants["b"] == before.variants["b"]


@pytest.mark.parametrize("do", [end_variant, promote])
def test_a_variant_that_is_not_there_cannot_end(store, do):
    split(store, CHANGE, "a", 0.3, BOLD)
    with pytest.raises(UnknownVariantError, match=r"no variant 'b'; there are \['a'\]"):
        do(store, CHANGE, "b")


def test_a_schedule_without_a_beginning_begins_now(store):
    record = schedule(store, CHANGE, SALE, end=LATER)
    assert record.schedule.from_ == record.time
    assert record.schedule.state(datetime.now(UTC)) == "in force"


@pytest.mark.parametrize(
    ("begin", "end"),
    [(SOON, SOON), (LATER, SOON), (None, SOON - timedelta(hours=2))],
    ids=["empty", "reversed", "past"],
)
def test_a_schedule_that_could_never_be_in_force_is_refused(store, begin, end):
    with pytest.raises(ChangeError, match="until: expected a time after 2"):
        schedule(store, CHANGE, SALE, begin, end)


def test_a_cancelled_schedule_leaves_the_scenarios_own_weights(store):
    schedule(store, CHANGE, SALE, end=LATER)
    record = cancel(store, CHANGE)
    assert (record.weights, record.schedule) == (OWN, None)
    with pytest.raises(NoScheduleError):
        cancel(store, CHANGE)


def test_weights_set_after_a_planned_change_began_for_good_replace_it(store):
    schedule(store, CHANGE, SALE, SOON, None)
    assert set_weights(store, CHANGE, BOLD).schedule is not None
    schedule(store, CHANGE, SALE)
    record = set_weights(store, CHANGE, BOLD)
    assert (record.weights, record.schedule) == (BOLD, None)


def test_what_is_in_force_without_a_record_in_the_store_is_kept(store, tmp_path):
    """As when Redis came back empty, or the default was never set."""
    known = split(store, CHANGE, "bold", 0.3, BOLD)
    empty = EmbeddedStore(tmp_path / "empty" / "weights.sqlite3")
    record = set_weights(empty, Change("feed", "ana", "again", in_force=known), SALE)
    assert (record.weights, record.variants) == (SALE, known.variants)
    assert record.version == known.version + 1


def test_only_weights_can_begin_a_scenario(store):
    with pytest.raises(ChangeError, match="scenario: expected a scenario that has weights"):
        split(store, Change("new", "ana", "try it"), "bold", 0.1, BOLD)


def open_store(kind, place):
    return EmbeddedStore(Path(place)) if kind == "embedded" else RedisStore(place)


def update_at_once(kind, place, process):
    """Ten threads with 25 updates each, all from the version they see: (version seen, winner)."""
    store, outcomes = open_store(kind, place), []

    def update(author):
        for _ in range(25):
            seen = store.current()["feed"].version
            try:
                change = Change("feed", author, "burst", expected_version=seen)
                outcomes.append((seen, set_weights(store, change, OWN).author))
            except VersionConflictError:
                outcomes.append((seen, None))

    in_threads(update, [f"{process}-{thread}" for thread in range(10)])
    return outcomes


def in_threads(do, arguments):
    threads = [threading.Thread(target=do, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("kind", ["embedded", "redis"])
def test_a_burst_of_1000_compare_and_sets_ends_in_a_linear_history(kind, request, tmp_path):
    """By four processes at once: every version is the one winner's of the version before."""
    embedded = kind == "embedded"
    place = str(tmp_path / "w.sqlite3") if embedded else request.getfixturevalue("empty_redis").url
    store = open_store(kind, place)
    set_weights(store, CHANGE, OWN)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        parts = pool.starmap(update_at_once, [(kind, place, n) for n in range(4)], chunksize=1)
    outcomes = [outcome for part in parts for outcome in part]
    won = [(seen + 1, author) for seen, author in outcomes if author]
    history = [(record.version, record.author) for record in store.history("feed", 2000)]
    assert len(outcomes) == 1000
    assert sorted(won) == history[-2::-1]
    assert [version for version, _ in history] == list(range(len(won) + 1, 0, -1))
    assert any(author is None for _, author in outcomes)


def test_writers_of_one_process_lose_no_race_against_each_other(tmp_path, monkeypatch):
    """As many at once as a worker has threads for routes that block."""
    monkeypatch.setattr(changes, "TURN_S", 60)
    lost = []

    class Counting(EmbeddedStore):
        def append(self, record):
            try:
                super().append(record)
            except VersionConflictError:
                lost.append(record.version)
                raise

    store = Counting(tmp_path / "w.sqlite3")
    in_threads(lambda _: set_weights(store, CHANGE, OWN), range(40))
    assert (len(store.history("feed", 99)), lost) == (40, [])


def test_a_writer_that_waited_in_vain_for_its_turn_writes_without(store, monkeypatch):
    monkeypatch.setattr(changes, "TURN_S", 0.05)
    with changes._turns:
        assert set_weights(store, CHANGE, SALE).version == 2


def test_a_plan_after_a_change_for_good_returns_to_that_change(store):
    schedule(store, CHANGE, SALE)  # in force, without an end
    planned = schedule(store, CHANGE, BOLD, SOON, LATER)
    assert (planned.weights, planned.schedule.weights) == (SALE, BOLD)
    assert cancel(store, CHANGE).weights == SALE


def test_a_plan_after_another_that_has_not_begun_keeps_the_scenarios_own_weights(store):
    schedule(store, CHANGE, SALE, SOON, None)
    assert schedule(store, CHANGE, BOLD, SOON, LATER).weights == OWN


def test_a_variant_whose_weights_cannot_be_served_is_not_promoted(store):
    split(store, CHANGE, "bold", 0.1, BOLD)

    def refuse(weights):
        raise ValueError(weights)

    with pytest.raises(ValueError, match="exposure"):
        promote(store, CHANGE, "bold", check=refuse)
    assert store.current()["feed"].variants
