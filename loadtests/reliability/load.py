"""Requests at a fixed mean rate, whatever the service does, over connections that stay open.

Decisions
- Arrivals are a Poisson process, and latency counts from the moment at which a request was due: a
  service that stalls is charged for all who would have come meanwhile.
- Plain sockets: at these rates a comfortable client takes more of a machine than the service.
- A connection that was idle for longer than servers commonly allow is not used again; otherwise the
  client's own race would be counted as a failure of the service.
- There are CONNECTIONS at most, as callers in production bound them: a request that finds none free
  waits, and that counts. To open one for each costs both sides more than an answer, so a short
  stall would grow into an overload.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

CONNECTIONS = 64
LONGEST_IDLE_S = 2.0
GIVE_UP_S = 10.0
NO_ANSWER = 0  # in place of a status


@dataclass(frozen=True)
class Answer:
    """To which query, with what, how long after it was due."""

    query: int
    status: int
    body: bytes
    due: float  # monotonic
    seconds: float


class Client:
    """Keeps connections to one service; POSTs the same few bodies again and again."""

    def __init__(self, port: int, path: str, bodies: Sequence[bytes], key: str = "") -> None:
        self._port, self.queries = port, len(bodies)
        shown = f"authorization: Bearer {key}\r\n" if key else ""
        self._requests = [
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"{shown}content-length: {len(body)}\r\n\r\n".encode()
            + body
            for body in bodies
        ]
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def ask(self, query: int, due: float) -> Answer:
        """One request; whatever goes wrong is an answer with status NO_ANSWER."""
        try:
            async with asyncio.timeout(GIVE_UP_S), self._free:
                status, body = await self._exchange(self._requests[query])
        except (OSError, ValueError, EOFError, TimeoutError) as error:
            status, body = NO_ANSWER, repr(error).encode()
        return Answer(query, status, body, due, time.monotonic() - due)

    def close(self) -> None:
        """Close the idle connections."""
        for _, _, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        reader, writer = await self._connection()
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = re.search(rb"\r\ncontent-length: *(\d+)", head)
            body = await reader.readexactly(int(length[1]) if length else 0)
        except BaseException:
            writer.close()
            raise
        if b"\r\nconnection: close" in head:
            writer.close()
        else:
            self._idle.append((time.monotonic(), reader, writer))
        return int(head.split(b" ", 2)[1]), body

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            since, reader, writer = self._idle.pop()
            if time.monotonic() - since < LONGEST_IDLE_S and not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port)


async def capacity(client: Client, *, at_once: int, seconds: float) -> float:
    """Answers a second to a fixed number of clients that ask again as soon as they are answered."""
    deadline = time.monotonic() + seconds

    async def keep_asking(first: int) -> int:
        answered = 0
        while time.monotonic() < deadline:
            answer = await client.ask((first + answered) % client.queries, time.monotonic())
            answered += answer.status == 200
        return answered

    return sum(await asyncio.gather(*map(keep_asking, range(at_once)))) / seconds


@asynccontextmanager
async def loaded(
    client: Client, rate: float, on_answer: Callable[[Answer], None], seed: int = 1
) -> AsyncIterator[None]:
    """Ask `rate` times a second on average meanwhile; all are answered when it ends."""
    stop = asyncio.Event()
    asking = asyncio.create_task(_keep_asking(client, rate, stop, on_answer, seed))
    try:
        yield
    finally:
        stop.set()
        await asking


async def _keep_asking(
    client: Client,
    rate: float,
    stop: asyncio.Event,
    on_answer: Callable[[Answer], None],
    seed: int,
) -> None:
    arrivals, due = random.Random(seed), time.monotonic()
    async with asyncio.TaskGroup() as under_way:
        while not stop.is_set():
            due += arrivals.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            query = arrivals.randrange(client.queries)
            asked = under_way.create_task(client.ask(query, due))
            asked.add_done_callback(lambda task: on_answer(task.result()))
