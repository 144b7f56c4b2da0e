"""The copy of the weights on a machine: read without a store, given back to one that lost them."""

from dataclasses import replace

from support.waiting import within

from service.weights.changes import Change, schedule, set_weights
from service.weights.embedded import EmbeddedStore
from service.weights.last_known import LastKnown
from service.weights.redis_store import RedisStore
from service.weights.store import StoreUnavailableError
from service.weights.variants import split

WEIGHTS = {"exposure": 1.0, "click": 1.8, "conversion": 1.2}
CHANGE = Change("feed", "ana", "more clicks")
KEYS = ("{csmf:weights}:history:feed", "{csmf:weights}:current")


def test_a_restart_without_redis_begins_with_the_last_known_weights(own_redis, start_board):
    set_weights(RedisStore(own_redis.url), CHANGE, WEIGHTS)
    start_board(RedisStore(own_redis.url)).stop()
    own_redis.stop()
    seen = []
    store = RedisStore(own_redis.url)
    board = start_board(store, on_refresh=lambda *observed: seen.append(observed))
    assert board.records["feed"].weights == WEIGHTS
    assert seen == [(board.records, None)]  # what serves is shown, though no store answered


def test_the_last_known_weights_keep_variants_and_schedule(tmp_path, start_board):
    store = EmbeddedStore(tmp_path / "weights.sqlite3")
    set_weights(store, CHANGE, WEIGHTS)
    split(store, CHANGE, "bold", 0.05, WEIGHTS)
    record = schedule(store, CHANGE, WEIGHTS)
    start_board(store).stop()
    restarted = start_board(RedisStore("redis://127.0.0.1:1/0"))
    assert dict(restarted.records) == {"feed": record}


def test_an_empty_redis_takes_over_what_the_local_file_had(tmp_path, empty_redis, start_board):
    record = set_weights(EmbeddedStore(tmp_path / "weights.sqlite3"), CHANGE, WEIGHTS)
    start_board(EmbeddedStore(tmp_path / "weights.sqlite3")).stop()
    redis_store = RedisStore(empty_redis.url)
    start_board(redis_store)
    assert redis_store.current() == {"feed": record}


def test_a_broken_file_of_last_known_weights_is_logged_and_put_aside(tmp_path, start_board, caplog):
    (tmp_path / "known.sqlite3").write_text("no database, but long enough to be looked into" * 9)
    board = start_board(RedisStore("redis://127.0.0.1:1/0"))
    assert dict(board.records) == {}
    assert "last known weights cannot be read" in caplog.text
    assert (tmp_path / "unreadable-known.sqlite3").exists()
    store = EmbeddedStore(tmp_path / "weights.sqlite3")
    record = set_weights(store, CHANGE, WEIGHTS)
    start_board(store).stop()
    assert LastKnown(tmp_path / "known.sqlite3").records() == {"feed": record}


def test_where_no_last_known_weights_can_be_kept_the_store_serves_all_the_same(
    tmp_path, start_board, caplog
):
    (tmp_path / "known.sqlite3").mkdir()
    store = EmbeddedStore(tmp_path / "weights.sqlite3")
    board = start_board(store)
    set_weights(store, CHANGE, WEIGHTS)
    assert within(1, lambda: "feed" in board.records)
    assert "last known weights cannot be read" in caplog.text


def test_a_redis_that_came_back_empty_is_given_back_its_weights(own_redis, start_board, caplog):
    store, put_back = RedisStore(own_redis.url), []
    for _ in range(3):
        record = set_weights(store, CHANGE, WEIGHTS)
    board = start_board(store, poll_s=0.1, on_put_back=lambda: put_back.append(1))
    history = store.history("feed", 9)
    own_redis.client().flushall()
    assert within(5, lambda: store.current() == {"feed": record})
    assert dict(board.records) == {"feed": record}
    assert store.history("feed", 9) == history
    assert "lost feed; 3 versions to 3 were put back" in caplog.text
    assert set_weights(store, CHANGE, WEIGHTS).version == 4
    assert put_back == [1]


def test_a_change_that_a_lagging_replica_never_had_is_not_taken_back(own_redis, start_board):
    store = RedisStore(own_redis.url)
    set_weights(store, CHANGE, WEIGHTS)
    older = own_redis.client().dump("{csmf:weights}:history:feed")
    set_weights(store, CHANGE, {**WEIGHTS, "click": 5.0})
    board = start_board(store, poll_s=0.1)
    client = own_redis.client()
    client.restore("{csmf:weights}:history:feed", 0, older, replace=True)
    client.hset("{csmf:weights}:current", "feed", store.history("feed", 1)[0].model_dump_json())
    assert within(5, lambda: store.current()["feed"].version == 2)
    assert board.records["feed"].weights["click"] == 5.0
    assert [record.version for record in store.history("feed", 9)] == [2, 1]


def test_a_machine_that_knew_nothing_can_give_back_what_was_before_its_time(own_redis, start_board):
    store = RedisStore(own_redis.url)
    for _ in range(4):
        set_weights(store, CHANGE, WEIGHTS)
    history = store.history("feed", 9)
    start_board(store, poll_s=0.1)
    own_redis.client().flushall()
    assert within(5, lambda: store.history("feed", 9) == history)


def test_machines_that_give_back_at_once_leave_no_gap(own_redis, start_board, tmp_path):
    store = RedisStore(own_redis.url)
    for _ in range(50):
        set_weights(store, CHANGE, WEIGHTS)
    history = store.history("feed", 99)
    boards = [start_board(store, poll_s=0.05) for _ in range(4)]
    own_redis.client().flushall()
    assert within(5, lambda: store.history("feed", 99) == history)
    assert all(board.records["feed"] == history[0] for board in boards)


def test_of_a_history_that_cannot_be_read_the_newest_record_is_known(
    empty_redis, start_board, tmp_path, caplog
):
    store = RedisStore(empty_redis.url)
    empty_redis.client().xadd("{csmf:weights}:history:feed", {"record": "spoilt"}, "1-0")
    record = set_weights(EmbeddedStore(tmp_path / "other.sqlite3"), CHANGE, WEIGHTS)
    second = record.model_copy(update={"version": 2})
    empty_redis.client().hset("{csmf:weights}:current", "feed", second.model_dump_json())
    start_board(store).refresh()
    assert LastKnown(tmp_path / "known.sqlite3").records() == {"feed": second}
    assert "of weights of feed only the newest is known" in caplog.text


class Unreadable(EmbeddedStore):
    """Its history times out now and then; notes how much of it is asked for."""

    failing, asked = 0, ()

    def history(self, scenario, limit, before=None):
        self.asked = (*self.asked, limit)
        if self.failing:
            self.failing -= 1
            raise StoreUnavailableError("timeout")
        return super().history(scenario, limit, before)


def test_a_history_that_is_away_for_a_moment_leaves_no_hole_in_the_copy(start_board, tmp_path):
    store = Unreadable(tmp_path / "weights.sqlite3")
    for _ in range(3):
        set_weights(store, CHANGE, WEIGHTS)
    history, store.failing = store.history("feed", 9), 1
    start_board(store).refresh()
    assert EmbeddedStore(tmp_path / "known.sqlite3").history("feed", 9) == history


def test_of_a_change_nothing_is_copied_but_what_is_new(tmp_path):
    store, known = Unreadable(tmp_path / "weights.sqlite3"), LastKnown(tmp_path / "known.sqlite3")
    known.follow(store, {"feed": set_weights(store, CHANGE, WEIGHTS)})
    second, third, fourth = (set_weights(store, CHANGE, WEIGHTS) for _ in range(3))
    store.asked = ()
    known.follow(store, {"feed": second})
    known.follow(store, {"feed": fourth})
    assert store.asked == (1,), "the one between, and none before the second"
    assert EmbeddedStore(tmp_path / "known.sqlite3").history("feed", 9)[:2] == [fourth, third]


def test_a_change_to_what_a_store_lost_gives_its_history_back(empty_redis, start_board):
    store = RedisStore(empty_redis.url)
    records = [set_weights(store, CHANGE, WEIGHTS) for _ in range(3)]
    board = start_board(store)
    empty_redis.client().delete("{csmf:weights}:history:feed")  # the hash stays: nobody notices
    change = replace(CHANGE, in_force=board.records["feed"], give_back=board.give_back)
    newest = set_weights(store, change, WEIGHTS)
    assert store.history("feed", 9) == [newest, *reversed(records)]


def test_what_is_known_can_be_read_where_nothing_can_be_written(start_board, tmp_path):
    store = EmbeddedStore(tmp_path / "weights.sqlite3")
    record = set_weights(store, CHANGE, WEIGHTS)
    start_board(store).stop()
    (tmp_path / "known.sqlite3-wal").unlink(missing_ok=True)
    (tmp_path / "known.sqlite3-wal").mkdir()  # so SQLite cannot write beside it
    known = LastKnown(tmp_path / "known.sqlite3")
    assert known.records() == {"feed": record}
    known.follow(store, {"feed": set_weights(store, CHANGE, WEIGHTS)})
    assert known.records() == {"feed": record}


def test_where_a_store_has_another_history_nothing_of_ours_is_put_back(
    own_redis, start_board, tmp_path, caplog
):
    """Both halves of a parted Redis took changes; the half that stayed has fewer of them."""
    store, client = RedisStore(own_redis.url), own_redis.client()

    def go_back(dumps):
        with client.pipeline(transaction=True) as at_once:
            for key, dump in zip(KEYS, dumps, strict=True):
                at_once.restore(key, 0, dump, replace=True)
            at_once.execute()

    set_weights(store, CHANGE, WEIGHTS)
    parted = [client.dump(key) for key in KEYS]
    theirs = set_weights(store, Change("feed", "ben", "elsewhere"), {**WEIGHTS, "click": 9.0})
    other_half = [client.dump(key) for key in KEYS]
    go_back(parted)
    for click in (5.0, 6.0):
        set_weights(store, CHANGE, {**WEIGHTS, "click": click})
    board, copy = start_board(store, poll_s=0.1), LastKnown(tmp_path / "known.sqlite3")
    assert within(5, lambda: "feed" in copy.records() and copy.records()["feed"].version == 3)
    go_back(other_half)
    assert within(5, lambda: board.records["feed"] == theirs)
    assert store.current() == {"feed": theirs}
    assert "the store's version 2, by ben, is not the one known here" in caplog.text


def test_a_store_that_keeps_everybody_waiting_is_asked_for_one_history(start_board, tmp_path):
    store = EmbeddedStore(tmp_path / "weights.sqlite3")
    for scenario in ("a", "b", "c"):
        for _ in range(2):
            set_weights(store, replace(CHANGE, scenario=scenario), WEIGHTS)
    asked = []

    def away(*words, **_):
        asked.append(words)
        raise StoreUnavailableError("away")

    records, store.history = store.current(), away
    LastKnown(tmp_path / "another.sqlite3").follow(store, records)
    assert len(asked) == 1


def test_a_start_copies_for_so_long_and_leaves_the_rest_for_later(tmp_path):
    store = EmbeddedStore(tmp_path / "weights.sqlite3")
    set_weights(store, CHANGE, WEIGHTS)
    known = LastKnown(tmp_path / "another.sqlite3")
    known.follow(store, store.current(), 0.0)
    assert known.records() == {}
    known.follow(store, store.current())
    assert known.records() == store.current()
