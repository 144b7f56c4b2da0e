"""The store in Redis, shared by any number of machines.

Decisions
- `{csmf:weights}:current` is a hash, scenario → record: all current records are one read.
- `{csmf:weights}:history:<scenario>` is a stream whose entry ids ARE the versions (`7-0`), so a
  version is found, and a page of history read, without scanning.
- A Lua script compares the version and writes both, then publishes the scenario's name: no reader
  can see a current record without its history entry, and nobody a history that is only half put
  back. The braces keep all keys in one cluster slot.
- Short time-outs: an operator's command should say that Redis is away, not hang.
- A lost reply is retried once; an append that finds exactly its own record there has succeeded,
  whatever came after it.
- A server that became a replica under open connections takes no change: they are closed, and the
  change is tried once more, with whomever the URL names now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import cast

import redis
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.commands.core import Script
from redis.retry import Retry

from service.weights.record import WeightsRecord
from service.weights.store import (
    StoreUnavailableError,
    VersionConflictError,
    read_record,
    read_records,
)

CURRENT = "{csmf:weights}:current"
HISTORY = "{csmf:weights}:history:"
CHANGED = "{csmf:weights}:changed"
TIMEOUT_S = 1.0
BAD_URL = (
    "the URL of Redis cannot be read: expected redis://host:6379/0, rediss://:password@host:6379/0 "
    "or unix:///path, with special characters of the password percent-encoded"
)
NEWEST = """
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local version = 0
if newest[1] then version = tonumber(string.match(newest[1][1], '^%d+')) end
"""
ADD = """
local added = 0
for place = 2, #ARGV, 2 do
  if tonumber(ARGV[place]) > version then
    redis.call('XADD', KEYS[2], ARGV[place] .. '-0', 'record', ARGV[place + 1])
    added = added + 1
  end
end
if added > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[#ARGV])
  redis.call('PUBLISH', KEYS[3], ARGV[1])
elseif newest[1] then  -- the hash alone may be what was lost
  redis.call('HSET', KEYS[1], ARGV[1], newest[1][2][2])
end
return added
"""
APPEND = NEWEST + "if version ~= tonumber(ARGV[2]) - 1 then return 0 end" + ADD
RESTORE = NEWEST + ADD


class RedisStore:
    """A WeightsStore at `url`. Raises StoreUnavailableError for a URL that cannot be read."""

    def __init__(self, url: str) -> None:
        try:
            self._redis = redis.Redis.from_url(
                url,
                decode_responses=True,
                encoding_errors="replace",  # what is no text is no record either, and reported so
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
                retry=Retry(NoBackoff(), 1),
            )
        except ValueError:  # its text may hold a part of the password
            raise StoreUnavailableError(BAD_URL) from None
        self._append = self._redis.register_script(APPEND)
        self._restore = self._redis.register_script(RESTORE)

    def current(self) -> dict[str, WeightsRecord]:
        """The newest record of every scenario."""
        with _reachable():
            return read_records(cast("dict[str, str]", self._redis.hgetall(CURRENT)))

    def append(self, record: WeightsRecord) -> None:
        """Add the next version, or raise VersionConflictError."""
        if not self._ran(self._append, [record]):
            there = self.history(record.scenario, 1, before=record.version + 1)
            if there != [record]:
                newest = next(iter(self.history(record.scenario, 1)), None)
                raise VersionConflictError(record.version - 1, newest)

    def restore(self, *records: WeightsRecord) -> int:
        """Add them to what is older, at once; where nothing is, see that the newest is current."""
        return self._ran(self._restore, records)

    def history(self, scenario: str, limit: int, before: int | None = None) -> list[WeightsRecord]:
        """Records of a scenario below version `before`, newest first."""
        newest = "+" if before is None else f"({before}-0"
        with _reachable():
            page = self._redis.xrevrange(HISTORY + scenario, newest, "-", count=limit)
        entries = cast("list[tuple[str, dict[str, str]]]", page)
        return [read_record(fields.get("record", "")) for _, fields in entries]

    @contextmanager
    def watch(self) -> Iterator[ChannelWatch]:
        """Subscribe to the channel; returns once Redis confirmed."""
        subscription = self._redis.pubsub()  # type: ignore[no-untyped-call]  # redis has no types here
        with _reachable(), subscription:
            subscription.subscribe(CHANGED)
            subscription.get_message(timeout=TIMEOUT_S)
            yield ChannelWatch(subscription)

    def close(self) -> None:
        """Close the connection pool."""
        self._redis.close()

    def _ran(self, script: Script, records: Sequence[WeightsRecord]) -> int:
        """Run a script on records of one scenario; how many it added."""
        scenario = records[0].scenario
        versions = ((each.version, each.model_dump_json()) for each in records)
        run = partial(
            script,
            keys=[CURRENT, HISTORY + scenario, CHANGED],
            args=[scenario, *(word for version in versions for word in version)],
        )
        with _reachable():
            try:
                return int(run())
            except redis.ResponseError as error:
                if "READONLY" not in str(error):
                    raise
                self._redis.connection_pool.disconnect()
                return int(run())


class ChannelWatch:
    """Notices messages on the channel of changes."""

    def __init__(self, subscription: PubSub) -> None:
        self._subscription = subscription

    def wait(self, timeout_s: float) -> bool:
        """Block until a change was published (True) or the timeout passed (False)."""
        with _reachable():
            message = self._subscription.get_message(
                ignore_subscribe_messages=True, timeout=timeout_s
            )
        return message is not None


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise StoreUnavailableError(f"Redis: {error}") from error
