"""The feature store with the rights that the security page grants, and no others."""

import re
import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from service.operators.features import main

PAGES = Path(__file__).parents[3] / "docs"
USERS = ("csmf-reader", "csmf-loader", "csmf-shop")


@pytest.fixture
def as_user(own_redis):
    """A function: the URL of one of the users that the page describes."""
    page = (PAGES / "security.md").read_text()
    for name in USERS:
        (line,) = re.findall(rf"^ACL (SETUSER {name} (?:.*\\\n)*.*)$", page, re.MULTILINE)
        words = shlex.split(line.replace("\\\n", " ").replace("PASSWORD", "sesame"))
        own_redis.client().execute_command("ACL", *words)
    own_redis.client().execute_command("ACL", "SETUSER", "default", "off")
    return lambda name: own_redis.url.replace("redis://", f"redis://{name}:sesame@")


def shop_commands():
    """What the page on users tells the shop to write."""
    page = (PAGES / "users.md").read_text()
    return re.findall(r"^((?:HSET|ZADD|ZREMRANGEBYRANK|EXPIRE) .*)$", page, re.MULTILINE)


def test_the_shop_writes_and_the_service_reads_with_the_rights_that_the_page_grants(
    as_user, open_client, ask
):
    shop = redis.Redis.from_url(as_user("csmf-shop"))
    assert len(shop_commands()) == 4
    for command in shop_commands():
        shop.execute_command(*shlex.split(command))
    client = open_client(features_url=as_user("csmf-reader"), features_timeout_ms=10_000)
    found = ask(client, user={"user_id": "u00014"}, exclude_seen=True)
    assert (found["features"], found["seen_excluded"]) == ("stored", 1)


def test_a_table_is_loaded_and_a_user_shown_with_the_rights_that_the_page_grants(
    as_user, monkeypatch, release, tmp_path, capsys
):
    pq.write_table(pa.table({"user_id": ["u1"], "age": [30.0]}), tmp_path / "users.parquet")
    monkeypatch.setenv("CSMF_RELEASES", str(release.releases))
    monkeypatch.setenv("CSMF_FEATURES_URL", as_user("csmf-loader"))
    assert main(["load", str(tmp_path / "users.parquet")]) == 0
    assert main(["show", "u1"]) == 0
    assert "30.0" in capsys.readouterr().out


@pytest.mark.parametrize("name", USERS)
@pytest.mark.parametrize(
    "command",
    [
        ["DEL", "csmf:user:u1"],
        ["KEYS", "*"],
        ["SCAN", "0"],
        ["HGETALL", "another"],
        ["HMGET", "{csmf:weights}:current", "feed"],
        ["HSET", "{csmf:weights}:current", "feed", "x"],
        ["FLUSHALL"],
        ["CONFIG", "GET", "*"],
    ],
)
def test_these_rights_allow_nothing_else(as_user, name, command):
    client = redis.Redis.from_url(as_user(name))
    with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
        client.execute_command(*command)


def test_the_service_may_not_write(as_user):
    client = redis.Redis.from_url(as_user("csmf-reader"))
    for command in (["HSET", "csmf:user:u1", "age", "1"], ["ZADD", "csmf:seen:u1", "1", "i1"]):
        with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
            client.execute_command(*command)
