"""A process that works on one core whenever it is told to, and says how it went.

Decisions
- What is compared takes turns of about a second on the same core, so that what else the machine
  does falls on all alike. Whoever has no turn waits for a line and costs nothing.
- A turn is as many requests as fit into its time. Each is timed alone; the processor time of all of
  them holds on a busy machine, too.

    side = Side("loadtests.over_http.asking", {"port": 8000, …}, core=0)
    side.begin(1.0); turn = side.end()
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Work = Callable[[float], list[float]]  # for so long; seconds of each request


class SideError(RuntimeError):
    """A side that ended early: which, and its last words."""


@dataclass(frozen=True)
class Turn:
    """What one side did in one turn."""

    requests: int
    wall_s: float
    cpu_s: float
    p50_s: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.wall_s


class Side:
    """One process; `begin` and `end` enclose a turn, so that several can have theirs at once."""

    def __init__(self, module: str, options: dict[str, object], core: int) -> None:
        self._name = module
        command = [sys.executable, "-m", module, json.dumps({**options, "core": core})]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)  # noqa: S603  our own interpreter
        self._read()

    def begin(self, seconds: float) -> None:
        """Start a turn."""
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()

    def end(self) -> Turn:
        """Wait for it. Raises SideError."""
        return Turn(**json.loads(self._read()))

    def turn(self, seconds: float) -> Turn:
        """One whole turn."""
        self.begin(seconds)
        return self.end()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _read(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise SideError(f"{self._name} ended with {self._process.wait()}; see above")
        return line


def take_turns(work: Work) -> None:
    """What the process of a side does: a turn for each line, until there are no more lines."""
    print("ready", flush=True)
    for line in sys.stdin:
        cpu, began = time.process_time(), time.perf_counter()
        seconds = work(float(line))
        wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        done = {"requests": len(seconds), "wall_s": wall_s, "cpu_s": cpu_s}
        print(json.dumps({**done, "p50_s": statistics.median(seconds)}), flush=True)


def options_of_side() -> dict[str, object]:
    """What the side was told; from here on it stays on its core."""
    options: dict[str, object] = json.loads(sys.argv[1])
    pin(os.getpid(), int(str(options.pop("core"))))
    return options


def pin(process: int, core: int) -> None:
    """Keep all threads of a process on a core, and those that they start."""
    for task in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def cpu_s(process: int) -> float:
    """Processor time that a process has used, to the nanosecond."""
    tasks = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
