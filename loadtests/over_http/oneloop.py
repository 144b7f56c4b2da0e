"""Server, client and the same work without HTTP on one event loop, asked in turns.

Decisions
- Where others want the core too, a request that goes from one process to another waits for them,
  and its time says more of them than of HTTP. Here it goes through sockets, parser and app, and
  back, and the loop never sleeps.
- The two are asked in turns of BURST requests, so both meet the same machine, to some milliseconds.
  The first of each burst warms the caches and is not counted.
- What it lacks of the real thing is the change of process, some microseconds on a free core.

    figures = on_one_loop(releases, state, bodies, core=0, seconds=10)
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvicorn
import uvloop

from loadtests.over_http.asking import request
from loadtests.over_http.inprocess import InProcess
from loadtests.over_http.side import SideError, options_of_side
from service.api.door import GatedProtocol
from service.app import create_app
from service.settings import Settings

BURST = 4
Figures = dict[str, float]
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Asking(asyncio.Protocol):
    """One connection; `ask` resolves once the whole answer is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self._transport = transport

    def ask(self, content: bytes) -> asyncio.Future[None]:
        """Send a request."""
        self._missing = 0
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(content)
        return self._answered

    def data_received(self, data: bytes) -> None:
        """See whether that was all."""
        if self._missing:
            self._missing -= len(data)
        else:
            end = data.find(b"\r\n\r\n")
            length = _LENGTH.search(data, 0, end + 2)
            self._missing = end + 4 + int(length[1]) - len(data)
        if not self._missing:
            self._answered.set_result(None)


def on_one_loop(releases: str, state: str, bodies: list[str], core: int, seconds: float) -> Figures:
    """Measured by a process of its own. Raises SideError."""
    told = {"releases": releases, "state": state, "bodies": bodies, "seconds": seconds}
    command = [sys.executable, "-m", "loadtests.over_http.oneloop"]
    told_json = json.dumps({**told, "core": core})
    with tempfile.TemporaryDirectory(prefix="csmf-metrics-") as metrics:  # as csmf-serve does
        ran = subprocess.run(  # noqa: S603  our own interpreter
            [*command, told_json],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": metrics},
        )
    if ran.returncode:
        raise SideError(f"one loop: {ran.stderr.strip()[-500:]}")
    figures: Figures = json.loads(ran.stdout)
    return figures


async def measure(releases: str, state: str, bodies: list[str], seconds: float) -> Figures:
    """Serve and ask for so long."""
    settings = Settings(releases=Path(releases), state_dir=Path(state), anonymous="loopback")
    reference = InProcess(releases, state, bodies)
    quiet = {"log_config": None, "access_log": False, "server_header": False}
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=GatedProtocol, ws="none", **quiet))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.05)
    _, port = server.servers[0].sockets[0].getsockname()
    _, client = await asyncio.get_running_loop().create_connection(Asking, "127.0.0.1", port)
    direct_s, http_s = await _in_turns(reference, client, bodies, seconds)
    server.should_exit = True
    await serving
    return _figures(direct_s, http_s)


async def _in_turns(
    reference: InProcess, client: Asking, bodies: list[str], seconds: float
) -> tuple[list[float], list[float]]:
    """Times of the work alone, and over HTTP."""
    direct_s: list[float] = []
    http_s: list[float] = []
    contents = itertools.cycle([(body.encode(), request(body.encode())) for body in bodies])
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for turn in range(2 * BURST):
            body, whole = next(contents)
            began = time.perf_counter()
            if turn < BURST:
                reference.answer(body)
            else:
                await client.ask(whole)
            spent = time.perf_counter() - began
            if turn % BURST:
                (direct_s if turn < BURST else http_s).append(spent)
    return direct_s, http_s


def _figures(direct_s: list[float], http_s: list[float]) -> Figures:
    direct, http = (statistics.quantiles(each, n=20) for each in (direct_s, http_s))
    return {
        "one_loop_inprocess_ms": 1e3 * direct[9],
        "one_loop_ms": 1e3 * http[9],
        "one_loop_p50_ratio": http[9] / direct[9],
        "one_loop_p25_ratio": http[4] / direct[4],
        "one_loop_p5_ratio": http[0] / direct[0],
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(measure(**options_of_side()))))
