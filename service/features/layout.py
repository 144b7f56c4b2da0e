"""How the store keeps users: its URL, its keys, and what is written there and read.

Decisions
- `csmf:user:<user_id>` is a hash, feature → value as JSON. `csmf:seen:<user_id>` is a sorted set,
  item id → unix time. Whoever knows a user writes them; the service only reads.
- Only those features are fetched that the tower reads and the request lacks, so a reply is small,
  and what a request brings wins. `null` in a request is a value that it lacks.
- What is no JSON stays bytes, which no encoder takes. So there is one way for whatever is wrong
  with a stored value: the encoder refuses it, it is left out, and that is said and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import redis

from service.features.known import FeaturesUrlError, Known, Origin, Record

USER = "csmf:user:"
SEEN = "csmf:seen:"
LARGEST_VALUE = 262_144  # bytes of JSON: a vector of 8192 numbers fits; more would hold the worker
COMMAND_S = 10.0
WRONG_TYPE = "WRONGTYPE"  # how Redis begins to say that a key holds something else


@dataclass(frozen=True)
class LookUp:
    """What to fetch of one user."""

    user_id: str | None  # None: nobody to look up
    features: Sequence[str]
    seen: int  # the newest so many

    @classmethod
    def of(cls, user: Record, read: frozenset[str], seen: int) -> LookUp:
        """What the tower reads and this request lacks."""
        given = {name for name, value in user.items() if value is not None}
        return cls(id_of(user), tuple(read - given - {"user_id"}), seen)

    def commands(self) -> Iterator[tuple[Any, ...]]:
        """The commands that fetch it, at most two."""
        if self.user_id is not None and self.features:
            yield "HMGET", key_of(USER, self.user_id), *self.features
        if self.user_id is not None and self.seen:
            yield "ZREVRANGE", key_of(SEEN, self.user_id), 0, self.seen - 1

    def answered(self, replies: Iterator[Any], longest: int) -> Known:
        """What the replies to its commands say; ids of items longer than `longest` are none."""
        if self.user_id is None:
            return Known("inline")
        values = _values(self.features, next(replies)) if self.features else {}
        seen = _item_ids(next(replies), longest) if self.seen else ()
        origin: Origin = "stored" if values else "unknown" if self.features else "inline"
        return Known(origin, values, seen)

    def unanswered(self) -> Known:
        """What is known without the store."""
        if self.user_id is None:
            return Known("inline")
        return Known("unavailable" if self.features else "inline", seen=None if self.seen else ())


def connect(url: str) -> redis.Redis:
    """The store, for commands, which may wait. Raises FeaturesUrlError."""
    try:
        return redis.Redis.from_url(url, socket_timeout=COMMAND_S, socket_connect_timeout=COMMAND_S)
    except ValueError:
        raise FeaturesUrlError from None


def id_of(user: Record) -> str | None:
    """The id that a user is kept under; numbers and their text are the same user."""
    user_id = user.get("user_id")
    if isinstance(user_id, bool) or not isinstance(user_id, str | int):
        return None
    return str(user_id) or None


def key_of(kind: str, user_id: str) -> bytes:
    """A key of a user; any text has one of its own."""
    return (kind + user_id).encode("utf-8", "surrogatepass")


def _values(features: Sequence[str], reply: Any) -> dict[str, object]:  # noqa: ANN401  (any reply)
    if isinstance(reply, redis.ResponseError):
        return dict.fromkeys(features, b"")
    return {
        name: _value(text) for name, text in zip(features, reply, strict=True) if text is not None
    }


def _value(text: bytes) -> object:
    if len(text) > LARGEST_VALUE:
        return b""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _item_ids(reply: Any, longest: int) -> list[str] | None:  # noqa: ANN401  (any reply)
    if isinstance(reply, redis.ResponseError):
        return None
    return [item_id.decode("utf-8", "replace") for item_id in reply if len(item_id) <= longest]
