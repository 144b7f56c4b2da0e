"""A feature store that is slow, dead, locked or not there costs its features, and nothing else."""

import asyncio
import re
import subprocess
import sys
import time

import pytest
import redis
from redis.asyncio import Connection
from support.waiting import within

from service.features import breaker
from service.features.store import FeatureStore
from service.settings import Settings
from service.watch.telemetry import Telemetry

USER = {"user_id": "u00003"}
READ = frozenset({"user_id", "age"})


def failures(client, reason):
    found = re.search(
        rf'csmf_features_failures_total{{reason="{reason}"}} (\S+)', client.get("/metrics").text
    )
    return float(found.group(1)) if found else 0


def write_ages(server, users):
    for number in range(users):
        server.client().hset(f"csmf:user:u{number:05d}", "age", number)


@pytest.fixture
def open_on(open_client, own_redis):
    def start(deadline_ms, url=own_redis.url):
        return open_client(features_url=url, features_timeout_ms=deadline_ms)

    return start


def is_stored(client, ask):
    return lambda: ask(client, user=USER)["features"] == "stored"


@pytest.mark.parametrize("fault", ["frozen", "killed"])
def test_a_store_that_fails_is_soon_not_asked_any_more_and_used_again_once_it_answers(
    open_on, own_redis, ask, fault
):
    write_ages(own_redis, 5)
    client = open_on(deadline_ms=150)
    assert within(10, is_stored(client, ask))
    began, reason = time.monotonic(), "late" if fault == "frozen" else "away"
    own_redis.freeze() if fault == "frozen" else own_redis.stop()
    try:
        asked = {"user": {**USER, "hour": 3}, "exclude_seen": True}
        answers = [ask(client, **asked) for _ in range(60)]
        tries = failures(client, reason)
        skipped = failures(client, "skipped")
        passed_s = time.monotonic() - began
    finally:
        own_redis.go_on() if fault == "frozen" else own_redis.start()
    assert {each["features"] for each in answers} == {"unavailable"}
    assert {each["seen_excluded"] for each in answers} == {None}
    assert breaker.FAILURES <= tries <= breaker.FAILURES + 1 + passed_s / breaker.PAUSE_S
    assert tries + skipped == 60
    write_ages(own_redis, 5)
    assert within(10, is_stored(client, ask))


def test_what_an_unavailable_store_would_have_added_is_missing_and_the_rest_is_served(
    open_on, own_redis, ask, reader
):
    own_redis.stop()
    client = open_on(deadline_ms=1000)
    for user in (USER, {**USER, "hour": 3, "recent_items": ["i0000004"]}):
        found, cold = ask(client, user=user), ask(reader, user=user)
        assert found.pop("features") == "unavailable"
        assert found == cold
    (first, second) = ask(client, "/retrieve/batch", users=[USER, {}])["results"]
    assert (first["features"], second["features"]) == ("unavailable", "inline")
    assert ask(client, "/score", user=USER, item_ids=["i0000004"])["features"] == "unavailable"


def test_a_store_that_comes_after_the_service_is_used_once_it_is_there(open_on, own_redis, ask):
    own_redis.stop()
    client = open_on(deadline_ms=1000)
    assert {ask(client, user=USER)["features"] for _ in range(10)} == {"unavailable"}
    own_redis.start()
    write_ages(own_redis, 5)
    assert within(10, is_stored(client, ask))


@pytest.mark.parametrize(
    "lock",
    [
        ["CONFIG", "SET", "requirepass", "sesame"],
        ["ACL", "SETUSER", "default", "-hmget"],
        ["ACL", "SETUSER", "default", "resetkeys", "~other"],
    ],
    ids=["password", "command", "keys"],
)
def test_a_store_that_refuses_is_one_that_is_away(open_on, own_redis, ask, lock):
    write_ages(own_redis, 5)
    client = open_on(deadline_ms=10_000)
    assert ask(client, user=USER)["features"] == "stored"
    keeper = own_redis.client()
    keeper.execute_command(*lock)
    others = redis.Redis.from_url(own_redis.url.replace("redis://", "redis://:sesame@"))
    if "requirepass" in lock:
        others.client_kill_filter(_type="normal", skipme=True)
    assert ask(client, user=USER, exclude_seen=True)["features"] == "unavailable"
    assert failures(client, "refused") == 1


def test_a_connection_that_breaks_as_it_is_used_costs_no_list(
    open_on, own_redis, ask, monkeypatch, caplog
):
    write_ages(own_redis, 5)
    client = open_on(deadline_ms=10_000)
    assert ask(client, user=USER)["features"] == "stored"

    async def closed(*_):
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "_send_packed_command", closed)
        assert ask(client, user=USER, exclude_seen=True)["features"] == "unavailable"
    assert failures(client, "away") == 1
    assert "could not be asked: RuntimeError('unable to perform" in caplog.text
    assert ask(client, user=USER)["features"] == "stored"


def test_a_password_is_neither_logged_nor_answered(open_on, own_redis, ask, caplog):
    url = own_redis.url.replace("redis://", "redis://ana:opensesame@")
    client = open_on(10_000, url)
    for _ in range(breaker.FAILURES + 1):
        assert "sesame" not in str(ask(client, user=USER))
    assert "the feature store is skipped and tried once a second: refused" in caplog.text
    assert "sesame" not in caplog.text
    assert USER["user_id"] not in caplog.text


def test_a_store_is_not_needed_for_what_a_request_brings(open_on, own_redis, ask):
    own_redis.stop()
    client = open_on(deadline_ms=1000)
    everything = {**USER, "hour": 3, "age": 30, "recent_items": []}
    for user in ({}, {"hour": 3}, everything):
        assert ask(client, user=user)["features"] == "inline"
    assert failures(client, "away") == 0


def test_no_user_ever_gets_what_another_was_late_for(own_redis, monkeypatch):
    monkeypatch.setattr(breaker, "PAUSE_S", 0.0)
    write_ages(own_redis, 40)
    settings = Settings(features_url=own_redis.url, features_timeout_ms=100)

    async def look_up(store, number):
        looked_up = await store.of([{"user_id": f"u{number:05d}"}], READ, seen=True)
        (known,) = looked_up.users
        return known

    async def stored(store, number):
        for _ in range(200):
            if (known := await look_up(store, number)).origin == "stored":
                return known
        raise AssertionError("the store is back and does not answer")

    async def run():
        store = FeatureStore(settings, Telemetry())
        for _ in range(3):
            own_redis.freeze()
            late = await asyncio.gather(*(look_up(store, number) for number in range(20)))
            own_redis.go_on()
            assert {known.origin for known in late} == {"unavailable"}
            found = await asyncio.gather(*(stored(store, number) for number in range(20, 40)))
            assert [known.values for known in found] == [{"age": age} for age in range(20, 40)]
        await store.close()

    asyncio.run(run())


def test_a_running_service_reads_the_store_and_leaves_in_order_while_it_hangs(serve, own_redis):
    write_ages(own_redis, 5)
    service = serve(CSMF_FEATURES_URL=own_redis.url, CSMF_FEATURES_TIMEOUT_MS="100")

    def origin():
        return service.call("POST", "/retrieve", {"user": USER, "k": 1})[1]["features"]

    assert within(10, lambda: origin() == "stored")
    own_redis.freeze()
    try:
        assert {origin() for _ in range(breaker.FAILURES + 2)} == {"unavailable"}
        assert service.stop() == 0
    finally:
        own_redis.go_on()
    log = service.log.read_text()
    assert "the feature store is skipped and tried once a second: late" in log
    assert not re.search("Traceback|never|destroyed", log)


def test_where_no_store_is_set_its_client_is_not_even_read():
    script = "import sys, service.app; sys.exit('redis' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
