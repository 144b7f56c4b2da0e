"""One suite for both weights stores: what holds for Redis holds for the local file."""

import multiprocessing
import threading
import time

import pytest

from service.weights import changes
from service.weights.changes import Change, ChangeError, roll_back, set_weights
from service.weights.embedded import EmbeddedStore
from service.weights.redis_store import RedisStore
from service.weights.store import (
    StoreUnavailableError,
    UnknownVersionError,
    VersionConflictError,
)

BALANCED = {"exposure": 1.0, "click": 1.8, "conversion": 1.2}
CLICKS = {"exposure": 0.1, "click": 3.0000000000000004, "conversion": 0.0}


@pytest.fixture(params=["embedded", "redis"])
def open_store(request, tmp_path):
    """A function that opens one more connection to the same empty store."""
    if request.param == "embedded":
        return lambda: EmbeddedStore(tmp_path / "state" / "weights.sqlite3")
    url = request.getfixturevalue("empty_redis").url
    return lambda: RedisStore(url)


@pytest.fixture
def store(open_store):
    return open_store()


def change(scenario="feed", **fields):
    return Change(scenario, **{"author": "ana", "reason": "more clicks", **fields})


def test_an_empty_store_has_no_scenarios_and_no_history(store):
    assert store.current() == {}
    assert store.history("feed", limit=10) == []


def test_a_set_is_current_in_history_and_exact_to_the_last_bit(open_store):
    record = set_weights(open_store(), change(), CLICKS)
    assert (record.version, record.author, record.reason) == (1, "ana", "more clicks")
    assert open_store().current() == {"feed": record}
    assert open_store().history("feed", limit=10) == [record]
    assert open_store().current()["feed"].weights == CLICKS


def test_versions_of_each_scenario_count_on_their_own(store):
    for scenario in ("feed", "search", "feed"):
        set_weights(store, change(scenario), BALANCED)
    versions = {name: record.version for name, record in store.current().items()}
    assert versions == {"feed": 2, "search": 1}


def test_history_is_newest_first_and_pages_backwards(store):
    for _ in range(5):
        set_weights(store, change(), BALANCED)
    assert [record.version for record in store.history("feed", limit=2)] == [5, 4]
    assert [record.version for record in store.history("feed", limit=2, before=4)] == [3, 2]
    assert [record.version for record in store.history("feed", limit=9, before=2)] == [1]


def test_a_set_from_a_stale_version_is_refused_with_the_current_record(store):
    first = set_weights(store, change(expected_version=0), BALANCED)
    with pytest.raises(VersionConflictError) as refused:
        set_weights(store, change(expected_version=0), CLICKS)
    assert refused.value.current == first
    assert store.current() == {"feed": first}


def test_a_rollback_is_a_new_version_and_rewrites_nothing(store):
    for weights in (BALANCED, CLICKS):
        set_weights(store, change(), weights)
    before = store.history("feed", limit=10)
    record = roll_back(store, change(author="bo", reason="undo"), to_version=1)
    assert (record.version, record.weights, record.author) == (3, BALANCED, "bo")
    assert store.history("feed", limit=10) == [record, *before]


def test_a_record_that_the_store_lost_is_put_back_and_versions_go_on(store):
    lost = set_weights(store, change("elsewhere"), BALANCED).model_copy(
        update={"scenario": "feed", "version": 7}
    )
    assert store.restore(lost)
    assert store.current()["feed"] == lost
    assert set_weights(store, change(expected_version=7), CLICKS).version == 8
    assert [record.version for record in store.history("feed", limit=9)] == [8, 7]


def test_a_history_is_put_back_at_once_and_only_what_is_newer_of_it(store):
    first = set_weights(store, change(), BALANCED)
    versions = [first.model_copy(update={"version": number}) for number in (1, 4, 5, 9)]
    assert store.restore(*versions) == 3
    assert store.history("feed", limit=9) == [*reversed(versions[1:]), first]
    assert store.current()["feed"] == versions[-1]
    assert store.restore(*versions) == 0


def test_readers_of_redis_are_told_once_of_a_history_that_is_put_back(empty_redis):
    store = RedisStore(empty_redis.url)
    first = set_weights(store, change(), BALANCED)
    with empty_redis.client().pubsub(ignore_subscribe_messages=True) as told:
        told.subscribe("{csmf:weights}:changed")
        told.get_message(timeout=1)
        store.restore(*(first.model_copy(update={"version": number}) for number in range(2, 50)))
        heard = [told.get_message(timeout=0.2) for _ in range(3)]
    assert [message is not None for message in heard] == [True, False, False]
    assert store.current()["feed"].version == 49


def test_there_are_only_so_many_scenarios(store, monkeypatch):
    monkeypatch.setattr(changes, "MOST_SCENARIOS", 2)
    set_weights(store, change("one"), BALANCED)
    set_weights(store, change("two"), BALANCED)
    with pytest.raises(ChangeError, match="2 is the most, got 'three'"):
        set_weights(store, change("three"), BALANCED)
    assert set_weights(store, change("default"), BALANCED).version == 1
    assert set_weights(store, change("two"), BALANCED).version == 2


def test_nothing_is_put_back_over_the_same_version_or_a_later_one(store):
    first, second = (set_weights(store, change(author=name), BALANCED) for name in ("ana", "bo"))
    mine = second.model_copy(update={"author": "somebody else"})
    assert not store.restore(first)
    assert not store.restore(mine)
    assert store.history("feed", limit=9) == [second, first]
    assert store.current()["feed"] == second


def test_a_change_puts_back_what_was_in_force_first(store):
    known = set_weights(store, change("elsewhere"), BALANCED).model_copy(
        update={"scenario": "feed", "version": 7}
    )
    record = set_weights(store, change(in_force=known), CLICKS)
    assert store.history("feed", limit=9) == [record, known]
    assert record.version == 8


def test_what_was_in_force_can_be_rolled_back_to_although_the_store_lost_it(store):
    known = set_weights(store, change("elsewhere"), CLICKS).model_copy(
        update={"scenario": "feed", "version": 7}
    )
    assert roll_back(store, change(in_force=known), to_version=7).version == 8
    with pytest.raises(UnknownVersionError, match="the store lost version 3"):
        roll_back(store, change(in_force=known), to_version=3)


def test_current_records_that_redis_lost_come_back_from_its_history(empty_redis):
    store = RedisStore(empty_redis.url)
    first, second = (set_weights(store, change(), BALANCED) for _ in range(2))
    empty_redis.client().delete("{csmf:weights}:current")
    assert not store.restore(first)
    assert store.current() == {"feed": second}


def test_an_append_repeated_because_its_answer_was_lost_has_succeeded(empty_redis):
    store = RedisStore(empty_redis.url)
    record = set_weights(store, change(), BALANCED)
    store.append(record)
    assert store.history("feed", limit=10) == [record]
    newer = set_weights(store, change(), BALANCED)
    store.append(record)
    assert store.history("feed", limit=10) == [newer, record]
    with pytest.raises(VersionConflictError):
        store.append(record.model_copy(update={"author": "somebody else"}))


def test_a_server_that_became_a_replica_is_left_for_the_one_that_took_over(own_redis, monkeypatch):
    store, client = RedisStore(own_redis.url), own_redis.client()
    changes.set_weights(store, change(), BALANCED)
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(StoreUnavailableError, match="read only"):
        store.append(store.current()["feed"].model_copy(update={"version": 2}))
    pool = store._redis.connection_pool
    close = pool.disconnect

    def take_over():
        close()
        client.execute_command("REPLICAOF", "NO", "ONE")

    monkeypatch.setattr(pool, "disconnect", take_over)
    assert changes.set_weights(store, change(), CLICKS).version == 2


@pytest.mark.parametrize("version", [0, 3])
def test_a_rollback_to_a_version_that_never_was_names_the_ones_that_exist(store, version):
    for _ in range(2):
        set_weights(store, change(), BALANCED)
    with pytest.raises(UnknownVersionError, match=f"no version {version}; versions are 1 to 2"):
        roll_back(store, change(), to_version=version)


def test_a_rollback_respects_the_expected_version(store):
    for _ in range(2):
        set_weights(store, change(), BALANCED)
    with pytest.raises(VersionConflictError):
        roll_back(store, change(expected_version=1), to_version=1)


def test_of_many_threads_that_set_from_one_version_exactly_one_wins(open_store):
    set_weights(open_store(), change(), BALANCED)
    outcomes = []

    def race(author):
        try:
            set_weights(open_store(), change(author=author, expected_version=1), CLICKS)
            outcomes.append(author)
        except VersionConflictError:
            outcomes.append(None)

    threads = [threading.Thread(target=race, args=(f"author-{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [author for author in outcomes if author]
    assert len(outcomes) == 8
    assert open_store().current()["feed"].author == winner


def set_often(kind, place, times):
    store = EmbeddedStore(place) if kind == "embedded" else RedisStore(place)
    for _ in range(times):
        set_weights(store, change(), BALANCED)


@pytest.mark.parametrize("kind", ["embedded", "redis"])
def test_sets_by_many_processes_lose_nothing(kind, request, tmp_path):
    embedded = kind == "embedded"
    place = tmp_path / "weights.sqlite3" if embedded else request.getfixturevalue("empty_redis").url
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=set_often, args=(kind, place, 10)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    store = EmbeddedStore(place) if embedded else RedisStore(place)
    assert [record.version for record in store.history("feed", 99)] == list(range(30, 0, -1))


def test_a_watch_notices_a_change_by_another_connection_at_once(open_store):
    other = open_store()
    with open_store().watch() as watch:
        assert not watch.wait(0.05)
        threading.Timer(0.05, set_weights, (other, change(), BALANCED)).start()
        began = time.monotonic()
        assert watch.wait(5)
        assert time.monotonic() - began < 0.15
        assert not watch.wait(0.05)


def test_a_change_right_after_subscribing_is_noticed(open_store):
    with open_store().watch() as watch:
        set_weights(open_store(), change(), BALANCED)
        assert watch.wait(1)


@pytest.mark.parametrize("spoilt", ['{"weights": "none"}', b"\xff\xfe", ""])
def test_a_record_that_another_program_wrote_is_reported_and_the_others_are_served(
    empty_redis, spoilt, caplog
):
    store = RedisStore(empty_redis.url)
    record = set_weights(store, change("search"), BALANCED)
    empty_redis.client().hset("{csmf:weights}:current", f"feed-{len(spoilt)}", spoilt)
    for _ in range(3):
        assert store.current() == {"search": record}
    assert caplog.text.count(f"weights of 'feed-{len(spoilt)}' are left out") == 1


def test_a_history_entry_that_another_program_wrote_is_reported(empty_redis):
    empty_redis.client().xadd("{csmf:weights}:history:feed", {"colour": "red"}, id="1-0")
    with pytest.raises(StoreUnavailableError, match="not a weights record"):
        RedisStore(empty_redis.url).history("feed", 1)


@pytest.mark.parametrize("url", ["localhost:6379", "redis://host:port", "redis://:a#b@host:6379"])
def test_a_url_that_cannot_be_read_is_told_its_form_and_shows_no_password(url):
    with pytest.raises(StoreUnavailableError, match="expected redis://host:6379/0") as refused:
        RedisStore(url)
    assert url not in str(refused.value)


def test_a_redis_that_is_away_is_reported_within_three_seconds():
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="Redis"):
        RedisStore("redis://127.0.0.1:1/0").current()
    assert time.monotonic() - began < 3


def test_the_local_file_refuses_to_rewrite_history(tmp_path):
    store = EmbeddedStore(tmp_path / "weights.sqlite3")
    set_weights(store, change(), BALANCED)
    for statement in ("DELETE FROM history", "UPDATE history SET record = ''"):
        with pytest.raises(StoreUnavailableError, match="append-only"), store._open() as db:
            db.execute(statement)


def test_a_local_file_that_cannot_be_created_is_reported(tmp_path):
    (tmp_path / "state").write_text("a file where a folder should be")
    with pytest.raises(StoreUnavailableError, match="weights file"):
        EmbeddedStore(tmp_path / "state" / "weights.sqlite3")


def test_what_another_program_wrote_into_a_history_is_taken_out_as_the_run_book_says(empty_redis):
    store, key = RedisStore(empty_redis.url), "{csmf:weights}:history:feed"
    set_weights(store, change(), BALANCED)
    with empty_redis.client() as client:
        written = client.xadd(key, {"record": "no record"})
        with pytest.raises(StoreUnavailableError):
            set_weights(store, change(), CLICKS)
        client.xdel(key, written)
        with pytest.raises(StoreUnavailableError):  # the stream goes on from the id that it had
            set_weights(store, change(), CLICKS)
        client.execute_command("XSETID", key, "1-0")
    assert set_weights(store, change(), CLICKS).version == 2
