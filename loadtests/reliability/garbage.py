"""Bytes that are nearly requests, or nothing like one, over connections that behave badly.

Each kind is a function of chance that gives the parts of what is sent; between parts there is a
pause. Who sent them waits for answers until the connection is closed, or goes away before.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence

AT_ONCE = 64
PAUSE_S = 0.05
PATIENCE_S = (0.0, 0.2, 0.2, 1.0, 15.0)  # of clients that go away; the last sees every time limit
NO_HTTP = -1  # in place of a status
BODY = b'{"scenario": "default", "user": {"user_id": "u00001", "hour": 8}, "k": 5}'
Parts = Sequence[bytes]
Kind = Callable[[random.Random, bytes], Parts]


async def throw(port: int, key: str, count: int, chance: random.Random) -> Counter[int]:
    """So many connections of random kinds; the statuses of all answers."""
    seen, left = Counter[int](), iter(range(count))

    async def connect() -> None:
        for _ in left:
            parts = chance.choice(KINDS)(chance, f"authorization: Bearer {key}\r\n".encode())
            seen.update(statuses(await _exchange(port, parts, chance.choice(PATIENCE_S))))

    await asyncio.gather(*(connect() for _ in range(AT_ONCE)))
    return seen


async def _exchange(port: int, parts: Parts, patience_s: float) -> bytes:
    """All that is answered before the connection, or the client's patience, ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = bytearray()
    try:
        async with asyncio.timeout(patience_s + PAUSE_S * len(parts)):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(PAUSE_S if len(parts) > 1 else 0)
            while content := await reader.read(65_536):
                answer += content
    except (OSError, TimeoutError):
        pass
    writer.transport.abort()
    return bytes(answer)


def statuses(answer: bytes) -> list[int]:
    """Of each answer on a connection; NO_HTTP for what is none. The last may be cut off."""
    found = []
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        if not status:
            return found if b"HTTP/1.1 ".startswith(answer[:9]) else [*found, NO_HTTP]
        found.append(int(status[1]))
        length = re.search(rb"\r\ncontent-length: (\d+)", head)
        answer = rest[int(length[1]) :] if length else rest
    return found


def _request(key: bytes, body: bytes = BODY, *more: bytes, length: bytes | None = None) -> bytes:
    length = b"%d" % len(body) if length is None else length
    lines = [b"POST /retrieve HTTP/1.1", b"host: x", b"content-type: application/json", *more]
    return b"\r\n".join(lines) + b"\r\n" + key + b"content-length: " + length + b"\r\n\r\n" + body


def _spoilt(chance: random.Random, content: bytes) -> bytes:
    """A few bytes changed, removed or added."""
    spoilt = bytearray(content)
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(spoilt))
        spoilt[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
    return bytes(spoilt)


def _binary(chance: random.Random, _: bytes) -> Parts:
    return [chance.randbytes(chance.randrange(1, 5000))]


def _other_protocol(chance: random.Random, _: bytes) -> Parts:
    hellos = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-x\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n",
        b"\r\n" * 50,
    ]
    return [chance.choice(hellos) + chance.randbytes(chance.randrange(50))]


def _mutated(chance: random.Random, key: bytes) -> Parts:
    return [_spoilt(chance, _request(key))]


def _mutated_body(chance: random.Random, key: bytes) -> Parts:
    return [_request(key, _spoilt(chance, BODY))]


def _half(chance: random.Random, key: bytes) -> Parts:
    whole = _request(key)
    return [whole[: chance.randrange(len(whole))]]


def _wrong_length(chance: random.Random, key: bytes) -> Parts:
    lengths = [
        b"0",
        b"1",
        b"10000",
        b"-1",
        b"99999999999999999999",
        b"0x10",
        b"1e3",
        b"",
        b"7, 7",
        b"7\r\ncontent-length: 70",
        b" 7",
        b"\xff",
    ]
    return [_request(key, length=chance.choice(lengths))]


def _pipelined(chance: random.Random, key: bytes) -> Parts:
    whole = _request(key)
    requests = [whole if chance.random() < 0.8 else _spoilt(chance, whole) for _ in range(10)]
    return [b"".join(requests)]


def _chunked(chance: random.Random, key: bytes) -> Parts:
    chunks = [
        b"5\r\nhello\r\n",
        b"zz\r\n",
        b"-5\r\nhello\r\n",
        b"fffffffffffffffff\r\n",
        b"5\r\nhel",
        b"0\r\n\r\n",
        b"5;a=b\r\nhello\r\n",
        b"0\r\na: b\r\n\r\n",
        b"\r\n",
    ]
    head = b"POST /retrieve HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" + key
    both = b"content-length: 5\r\n" if chance.random() < 0.3 else b""
    sent = [chance.choice(chunks) for _ in range(chance.randrange(1, 8))]
    return [head + both + b"transfer-encoding: chunked\r\n\r\n", *sent]


def _large_head(chance: random.Random, key: bytes) -> Parts:
    size = chance.choice([1_000, 60_000, 70_000, 1_000_000])
    return [_request(key, BODY, b"a: " + b"x" * size)]


def _odd_request_line(chance: random.Random, key: bytes) -> Parts:
    methods = [b"GET", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"HEAD", b"get", b"FOO"]
    paths = [
        b"/retrieve",
        b"/scenarios/%00/weights",
        b"/scenarios/../metrics",
        b"*",
        b"/%ff",
        b"//",
        b"/\xff",
        b"http://[::1",
        b"/retrieve?" + b"a=b&" * 999,
        b"/metrics",
        b"/docs",
    ]
    version = chance.choice([b"1.1", b"1.0", b"0.9", b"2.0", b"9.9"])
    line = chance.choice(methods) + b" " + chance.choice(paths) + b" HTTP/" + version
    upgrade = b"upgrade: websocket\r\nconnection: upgrade\r\n" if chance.random() < 0.2 else b""
    return [line + b"\r\nhost: x\r\nexpect: 100-continue\r\n" + upgrade + key + b"\r\n"]


def _dripping(chance: random.Random, key: bytes) -> Parts:
    whole = _request(key)
    step = chance.randrange(2, 20)
    return [whole[start : start + step] for start in range(0, len(whole), step)]


KINDS: list[Kind] = [
    _binary,
    _other_protocol,
    _mutated,
    _mutated_body,
    _half,
    _wrong_length,
    _pipelined,
    _chunked,
    _large_head,
    _odd_request_line,
    _dripping,
]
