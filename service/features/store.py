"""The feature store: Redis, asked once per request, and never waited for longer than the deadline.

Decisions
- One pipeline, one round trip, for all users of a request, on the event loop.
- Late, away, refused: the request goes on with what it brought, says so, and it is counted. After
  several failures in a row the store is skipped for a while (breaker.py).
- A look-up that is late is left to end by itself, within SOCKET_S: cancelled, it would take its
  connection along, and a store that connects more slowly than the deadline would never be reached.
  So a connection serves one look-up from its first byte to its last, and no late reply is read as
  another user's.
- Whatever goes wrong costs no list. uvloop has an error of its own for a connection that the store
  closed just now, which the client library does not know.
- hiredis parses the replies: in Python alone, 200 seen items take twenty times as long.

    looked_up = await store.of([{"user_id": "u7"}], snapshot.user_features, seen=True)
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, Literal

import redis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from service.features.breaker import CircuitBreaker
from service.features.known import FeaturesUrlError, LookedUp, Record
from service.features.layout import WRONG_TYPE, LookUp
from service.settings import Settings
from service.watch.telemetry import Telemetry

log = logging.getLogger(__name__)

CONNECTIONS = 32  # of one worker; more look-ups at once wait for one
SOCKET_S = 1.0
FURTHER_USER = 0.1  # of the deadline: a batch has more to fetch, and takes longer for it all

Failure = Literal["late", "away", "refused", "skipped"]


def connections(settings: Settings) -> BlockingConnectionPool:
    """Connections to the store, none of them made yet. Raises FeaturesUrlError."""
    try:
        return BlockingConnectionPool.from_url(
            settings.features_url.get_secret_value(),
            max_connections=CONNECTIONS,
            timeout=SOCKET_S,
            socket_timeout=SOCKET_S,
            socket_connect_timeout=SOCKET_S,
            protocol=2,  # no greeting to wait for
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        raise FeaturesUrlError from None


class FeatureStore:
    """Reads users from Redis. Raises FeaturesUrlError."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        self._deadline_s = settings.features_timeout_ms / 1000
        self._max_seen, self._longest_id = settings.max_seen, settings.max_text
        self._telemetry, self._breaker = telemetry, CircuitBreaker()
        self._late: set[asyncio.Task[list[Any]]] = set()
        self._redis = Redis.from_pool(connections(settings))

    async def of(self, users: Sequence[Record], read: frozenset[str], *, seen: bool) -> LookedUp:
        """What is stored of users: what the tower reads, and what they have seen if wanted."""
        began = time.perf_counter()
        newest = self._max_seen if seen else 0
        look_ups = [LookUp.of(user, read, newest) for user in users]
        replies = await self._replies(look_ups)
        if replies is None:
            known = [each.unanswered() for each in look_ups]
        else:
            answers = iter(replies)
            known = [each.answered(answers, self._longest_id) for each in look_ups]
        return LookedUp(known, {"features": time.perf_counter() - began})

    async def close(self) -> None:
        """Give up what is late, and close the connections."""
        for task in self._late:
            task.cancel()
        await self._redis.aclose()

    async def _replies(self, look_ups: Sequence[LookUp]) -> list[Any] | None:
        """Replies to all commands, or None: counted, and perhaps the last for a while."""
        pipeline = self._redis.pipeline(transaction=False)
        for command in (command for each in look_ups for command in each.commands()):
            pipeline.execute_command(*command)
        if not pipeline.command_stack:
            return []
        if not self._breaker.allows():
            self._telemetry.features_failures.labels("skipped").inc()
            return None
        deadline_s = self._deadline_s * (1 + FURTHER_USER * (len(look_ups) - 1))
        replies = await self._in_time(pipeline, deadline_s)
        failure = replies if isinstance(replies, str) else None
        if failure:
            self._telemetry.features_failures.labels(failure).inc()
        if self._breaker.note(answered=failure is None):
            if failure:
                log.warning("the feature store is skipped and tried once a second: %s", failure)
            else:
                log.info("the feature store answers again")
        return None if isinstance(replies, str) else replies

    async def _in_time(self, pipeline: Pipeline, deadline_s: float) -> list[Any] | Failure:
        """The replies, or why there are none yet."""
        task = asyncio.ensure_future(pipeline.execute(raise_on_error=False))
        await asyncio.wait({task}, timeout=deadline_s)
        if not task.done():
            self._late.add(task)
            task.add_done_callback(self._forget)
            return "late"
        try:
            replies = task.result()
        except (redis.AuthenticationError, redis.ResponseError):
            return "refused"
        except Exception as error:  # noqa: BLE001  (it costs no list)
            if not isinstance(error, (redis.RedisError, OSError)):
                log.warning("the feature store could not be asked: %r", error)
            return "away"
        errors = (reply for reply in replies if isinstance(reply, redis.ResponseError))
        return "refused" if any(not _wrong_type(error) for error in errors) else replies

    def _forget(self, task: asyncio.Task[list[Any]]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # seen, so that nobody warns of it


def _wrong_type(error: redis.ResponseError) -> bool:
    return str(error).startswith(WRONG_TYPE)
