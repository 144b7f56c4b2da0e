"""Redis as the security page says to run it: a user of least rights, and TLS."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from support.tls import self_signed, tls_before

from service.weights.record import WeightsRecord
from service.weights.redis_store import RedisStore
from service.weights.store import StoreUnavailableError

PAGE = Path(__file__).parents[3] / "docs" / "security.md"
WEIGHTS = {"exposure": 1.0, "click": 1.8, "conversion": 1.2}


@pytest.fixture
def restricted(own_redis):
    """The user that the page describes; its URL."""
    (line,) = re.findall(r"^ACL (SETUSER csmf (?:.*\\\n)*.*)$", PAGE.read_text(), re.MULTILINE)
    words = shlex.split(line.replace("\\\n", " ").replace("PASSWORD", "sesame"))
    own_redis.client().execute_command("ACL", *words)
    own_redis.client().execute_command("ACL", "SETUSER", "default", "off")
    return own_redis.url.replace("redis://", "redis://csmf:sesame@")


def record(version):
    now = datetime.now(UTC)
    return WeightsRecord(
        scenario="feed", weights=WEIGHTS, version=version, author="ana", reason="x", time=now
    )


def use_all_of(store):
    with store.watch() as watch:
        store.append(record(1))
        store.append(record(2))
        assert watch.wait(2)
    assert store.current()["feed"].version == 2
    assert [each.version for each in store.history("feed", 5)] == [2, 1]
    store.close()


def test_the_store_works_with_the_rights_that_the_page_grants(restricted):
    use_all_of(RedisStore(restricted))


@pytest.mark.parametrize(
    "command",
    [
        ["GET", "{csmf:weights}:current"],
        ["DEL", "{csmf:weights}:current"],
        ["XTRIM", "{csmf:weights}:history:feed", "MAXLEN", "0"],
        ["XADD", "another", "*", "a", "b"],
        ["HGETALL", "another"],
        ["PUBLISH", "another", "x"],
        ["FLUSHALL"],
        ["CONFIG", "GET", "*"],
        ["ACL", "LIST"],
        ["EVAL", "return 1", "0"],
        ["SCRIPT", "FLUSH"],
    ],
)
def test_these_rights_allow_nothing_else(restricted, command):
    client = redis.Redis.from_url(restricted)
    with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
        client.execute_command(*command)


def test_a_script_may_do_no_more_than_its_user(restricted):
    delete = redis.Redis.from_url(restricted).register_script("redis.call('DEL', KEYS[1])")
    with pytest.raises(redis.ResponseError, match=r"(?i)can't run this command|permission"):
        delete(keys=["{csmf:weights}:current"])


def test_a_password_that_redis_refuses_is_reported_without_it(restricted):
    store = RedisStore(restricted.replace("sesame", "sesam-wrong"))
    with pytest.raises(StoreUnavailableError, match=r"^Redis: ") as refused:
        store.current()
    assert "sesam" not in str(refused.value)


def test_over_tls_the_certificate_is_checked(restricted, own_redis, tmp_path):
    files = self_signed(tmp_path)
    with tls_before(own_redis.port, files) as port:
        url = restricted.replace("redis://", "rediss://").replace(f":{own_redis.port}", f":{port}")
        use_all_of(RedisStore(f"{url}?ssl_ca_certs={files[0]}"))
        with pytest.raises(StoreUnavailableError, match=r"(?i)certificate"):
            RedisStore(url).current()
