"""What requests read: always there, fresh within 100 ms, never older than what was served."""

import logging
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from support.waiting import within

from service.weights import board as module
from service.weights.board import WeightsBoard
from service.weights.changes import Change, schedule, set_weights
from service.weights.embedded import EmbeddedStore
from service.weights.last_known import LastKnown
from service.weights.redis_store import RedisStore
from service.weights.store import StoreUnavailableError
from service.weights.variants import split

WEIGHTS = {"exposure": 1.0, "click": 1.8, "conversion": 1.2}
CHANGE = Change("feed", "ana", "more clicks")


def version_within(board, seconds, version, scenario="feed"):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        record = board.records.get(scenario)
        if record and record.version == version:
            return True
        time.sleep(0.002)
    return False


@pytest.mark.parametrize("kind", ["embedded", "redis"])
def test_a_change_reaches_other_boards_within_100_ms(kind, request, tmp_path, start_board):
    if kind == "embedded":
        store = EmbeddedStore(tmp_path / "weights.sqlite3")
    else:
        store = RedisStore(request.getfixturevalue("empty_redis").url)
    boards = [start_board(store), start_board(store)]
    time.sleep(0.2)  # let both subscribe: only then a signal, not the first read, is tested
    for version in range(1, 4):
        set_weights(store, CHANGE, WEIGHTS)
        assert all(version_within(board, 0.1, version) for board in boards)


def test_without_redis_the_last_known_weights_stay_and_new_ones_arrive_when_it_is_back(
    own_redis, start_board
):
    store = RedisStore(own_redis.url)
    set_weights(store, CHANGE, WEIGHTS)
    board = start_board(store)
    answered = board.refreshed_at
    own_redis.stop()
    time.sleep(0.3)
    assert board.records["feed"].version == 1
    own_redis.start()
    set_weights(RedisStore(own_redis.url), CHANGE, WEIGHTS)
    assert version_within(board, 5, 2)
    assert board.refreshed_at > answered


def test_who_waits_for_a_store_that_keeps_another_waiting_gives_up(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TURN_S", 0.1)
    asked, answer = threading.Event(), threading.Event()
    store = EmbeddedStore(tmp_path / "weights.sqlite3")
    monkeypatch.setattr(store, "current", lambda: (asked.set(), answer.wait(10), {})[-1])
    board = WeightsBoard(store, LastKnown(tmp_path / "known.sqlite3"), poll_s=30)
    waiting = threading.Thread(target=board.refresh)
    waiting.start()
    assert asked.wait(5)
    with pytest.raises(StoreUnavailableError, match=r"0\.1 s by now"):
        board.refresh()
    answer.set()
    waiting.join()
    board.refresh()


def test_of_two_records_with_one_version_the_stores_is_right(empty_redis, start_board):
    store = RedisStore(empty_redis.url)
    record = set_weights(store, CHANGE, WEIGHTS)
    board = start_board(store)
    other = record.model_copy(update={"author": "bo"})
    empty_redis.client().hset("{csmf:weights}:current", "feed", other.model_dump_json())
    board.refresh()
    assert board.records["feed"] == other


def test_a_lost_signal_is_made_good_by_the_slow_poll(empty_redis, start_board):
    record = set_weights(RedisStore(empty_redis.url), CHANGE, WEIGHTS)
    board = start_board(RedisStore(empty_redis.url), poll_s=0.1)
    silent = record.model_copy(update={"version": 9})
    empty_redis.client().hset("{csmf:weights}:current", "feed", silent.model_dump_json())
    assert version_within(board, 1, 9)


class ForgottenByAFirewall(EmbeddedStore):
    """Its first subscription is never told of anything."""

    subscribed = 0

    @contextmanager
    def watch(self):
        self.subscribed += 1
        with super().watch() as watch:
            yield watch if self.subscribed > 1 else self

    def wait(self, timeout_s):
        time.sleep(timeout_s)
        return False


def test_who_has_lost_a_signal_subscribes_anew(tmp_path, start_board):
    store = ForgottenByAFirewall(tmp_path / "weights.sqlite3")
    board = start_board(store, poll_s=0.3)
    time.sleep(0.7)
    assert store.subscribed == 1  # there was nothing to tell
    set_weights(store, CHANGE, WEIGHTS)
    assert version_within(board, 10, 1)
    assert within(10, lambda: store.subscribed == 2)


def test_a_fault_in_one_refresh_does_not_end_the_following(tmp_path, start_board, caplog):
    faults = iter([ZeroDivisionError("a fault")])

    def observe(records, _):
        for fault in faults if records else ():
            raise fault

    store = EmbeddedStore(tmp_path / "weights.sqlite3")
    board = start_board(store, poll_s=0.1, on_refresh=observe)
    set_weights(store, CHANGE, WEIGHTS)
    assert version_within(board, 2, 1)
    time.sleep(0.1)
    assert "ZeroDivisionError: a fault" in caplog.text
    set_weights(store, CHANGE, WEIGHTS)
    assert version_within(board, 2, 2)


def test_a_change_is_logged_with_its_variants_and_its_schedule(tmp_path, start_board, caplog):
    store = EmbeddedStore(tmp_path / "weights.sqlite3")
    set_weights(store, CHANGE, WEIGHTS)
    split(store, CHANGE, "bold", 0.05, WEIGHTS)
    begin = datetime(2126, 12, 24, 18, tzinfo=UTC)
    schedule(store, CHANGE, WEIGHTS, begin, begin + timedelta(hours=12))
    with caplog.at_level(logging.INFO):
        start_board(store)
    assert (
        "weights of feed: version 3 by ana: exposure=1, click=1.8, conversion=1.2; bold 5.00%; "
        "schedule from 2126-12-24 18:00:00 until 2126-12-25 06:00:00 (more clicks)"
    ) in caplog.text


def test_each_refresh_is_observed(tmp_path, start_board):
    seen = []
    store = EmbeddedStore(tmp_path / "weights.sqlite3")
    board = start_board(store, on_refresh=lambda records, _: seen.append(set(records)))
    set_weights(store, CHANGE, WEIGHTS)
    board.refresh()
    assert seen[0] == set()
    assert seen[-1] == {"feed"}
