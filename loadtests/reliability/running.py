"""A csmf-serve of the experiment's own: started, watched from outside, stopped.

Memory is read from the kernel. `private` is what one worker alone holds in memory: pages of mapped
files, which workers share and the kernel may drop, are left out. `proportional` counts them, each
divided by the number of those who share it.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_S = 120.0
STOP_S = 60.0
STARTED = "service.app: serving "  # what each worker logs


class ServiceError(RuntimeError):
    """An experiment that could not be made: what happened, where to look."""


@dataclass(frozen=True)
class Memory:
    """Of one process, in bytes."""

    resident: int
    private: int
    proportional: int


class RunningService:
    """Use as a context: all its workers are ready on entry, and gone on exit."""

    def __init__(self, releases: Path, work: Path, *flags: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = work / "service.log"
        own = ("--state-dir", str(work / "state"), "--anonymous", "loopback", "--keys-file", "")
        command = (*("--releases", str(releases)), "--port", str(self.port), *own, *flags)
        self._command = [sys.executable, "-m", "service.cli", *command]

    def __enter__(self) -> RunningService:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)  # noqa: S603  our own interpreter
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers() and self.logged(STARTED) >= len(self.workers()):
                return self
            time.sleep(0.02)
        self.__exit__()
        raise ServiceError(f"the service did not become ready; its log is {self.log}")

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=10).close()
        except OSError:
            return False
        return True

    def logged(self, text: str) -> int:
        """How often the workers' log says this."""
        return self.log.read_text().count(text)

    def workers(self) -> list[int]:
        """Process ids of the workers; a single one is the command itself."""
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        lines = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
        return sorted(pid for pid, line in lines.items() if b"spawn_main" in line) or [parent]

    def memory(self) -> dict[int, Memory]:
        """Of each worker."""
        return {worker: _memory(worker) for worker in self.workers()}


@contextmanager
def one_core(number: int) -> Iterator[None]:
    """This thread, and what it starts meanwhile, stays on one of the cores; 0 is the first."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(cores)[number]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _memory(process: int) -> Memory:
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    kilobytes = {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}
    return Memory(*(1024 * kilobytes[name] for name in ("Rss", "Anonymous", "Pss")))
