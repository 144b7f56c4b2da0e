"""A contender in a process of its own: its memory, its threads and its faults are its own.

    with Worker("ours", cores={0}, threads=1) as worker:
        worker.open_index(given, variant, directory)
        rows_QK = worker.search(variant.name, queries_QM, 50, efforts_Q)

Decisions
- The process times each call itself, so that the pipe is not in it.
- Libraries read the number of threads from the environment when they are loaded, so it is set, for
  all of them, before the process starts.
- A contender whose library is not installed, or ends the process when it is loaded, is left out,
  with the reason; anything else that fails in the process is raised here with its own words.

Dimension letters: Q queries, M vector dims, K list.
"""

from __future__ import annotations

import importlib
import os
import re
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from index_builder.bench.contenders.contender import (
    Contender,
    Floats,
    Given,
    Rows,
    Searcher,
    Variant,
)

PACKAGE = "index_builder.bench.contenders"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
STOP_S = 10.0
CLOCKS = {"wall": time.perf_counter, "processor": time.thread_time}


class LeftOutError(Exception):
    """A contender that cannot run here, and why."""


class Worker:
    """Use as a context; each method runs in the process and returns what it returned there."""

    def __init__(self, contender: str, cores: set[int], threads: int) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, contender, cores), name=contender, daemon=True
        )
        with _threads(threads):
            self._process.start()
        theirs.close()
        self.threads = threads

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()  # which ends the process
        self._process.join(STOP_S)
        if self._process.is_alive():
            self._process.kill()

    def describe(self) -> tuple[str, str, tuple[Variant, ...]]:
        """Library and version, what effort counts, variants. Raises LeftOutError."""
        return cast("tuple[str, str, tuple[Variant, ...]]", self._ask("describe"))

    def pin(self, cores: set[int]) -> None:
        """Run on these cores only, from now on."""
        self._ask("pin", cores)

    def build(self, given: Given, variant: Variant, directory: Path) -> dict[str, float]:
        """Write the files; seconds: `all`, those `of all cores` together, parts."""
        built = self._ask("build", given, variant, directory, self.threads)
        return cast("dict[str, float]", built)

    def open_index(self, given: Given, variant: Variant, directory: Path) -> int:
        """Load the files; the largest effort."""
        return cast("int", self._ask("open_index", given, variant, directory))

    def memory(self) -> dict[str, int]:
        """Bytes: `resident`, and of that `private`, not mapped from a file."""
        return cast("dict[str, int]", self._ask("memory"))

    def search(
        self, variant: str, queries_QM: Floats, k: int, efforts_Q: NDArray[np.int64]
    ) -> Rows:
        """[Q, K] rows found by one search a query; -1 where there are fewer."""
        return cast("Rows", self._ask("search", variant, queries_QM, k, efforts_Q))

    def time(
        self,
        variant: str,
        queries_QM: Floats,
        k: int,
        efforts_Q: NDArray[np.int64],
        clock: str = "wall",
    ) -> NDArray[np.float64]:
        """[Q] seconds of each search, by one of `CLOCKS`."""
        seconds_Q = self._ask("time", variant, queries_QM, k, efforts_Q, clock)
        return cast("NDArray[np.float64]", seconds_Q)

    def _ask(self, method: str, *arguments: object) -> object:
        try:
            self._pipe.send((method, arguments))
            answer: object = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(STOP_S)
            code = self._process.exitcode
            said = f"its process died in {method!r}, exit code {code}"
            if method == "describe":  # a library whose instructions this processor lacks
                raise LeftOutError(said) from None
            raise RuntimeError(f"contender {self._process.name}: {said}") from None
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, str(count)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _pin(cores: set[int]) -> None:
    """All threads that there are; later ones inherit it."""
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def _serve(pipe: Connection, contender: str, cores: set[int]) -> None:
    """The process: answers until the pipe closes."""
    _pin(cores)
    served: _Served | None = None
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        try:
            served = served or _Served(contender)
            answer = getattr(served, method)(*arguments)
        except LeftOutError as error:
            answer = error
        except Exception:  # noqa: BLE001  # whatever it is, it is told
            answer = RuntimeError(f"contender {contender}, {method}:\n{traceback.format_exc()}")
        pipe.send(answer)


class _Served:
    """What runs in the process; the methods are those of `Worker`."""

    def __init__(self, name: str) -> None:
        try:
            module = importlib.import_module(f"{PACKAGE}.{name}")
        except ImportError as error:
            raise LeftOutError(f"not installed here: {error}") from None
        self.contender = cast("Contender", module)
        self.opened: dict[str, Searcher] = {}

    def describe(self) -> tuple[str, str, tuple[Variant, ...]]:
        library = self.contender.LIBRARY
        return f"{library} {version(library)}", self.contender.EFFORT, self.contender.VARIANTS

    def pin(self, cores: set[int]) -> None:
        _pin(cores)

    def build(
        self, given: Given, variant: Variant, directory: Path, threads: int
    ) -> dict[str, float]:
        started, worked = time.perf_counter(), time.process_time()
        parts = self.contender.build(given, variant, directory, threads)
        passed, worked = time.perf_counter() - started, time.process_time() - worked
        return {"all": passed, "of all cores": worked} | parts

    def open_index(self, given: Given, variant: Variant, directory: Path) -> int:
        opened = self.contender.open_index(given, variant, directory)
        self.opened[variant.name] = opened
        return opened.most

    def memory(self) -> dict[str, int]:
        text = Path("/proc/self/smaps_rollup").read_text()
        kilobytes = {name: int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}
        return {"resident": 1024 * kilobytes["Rss"], "private": 1024 * kilobytes["Anonymous"]}

    def search(
        self, variant: str, queries_QM: Floats, k: int, efforts_Q: NDArray[np.int64]
    ) -> Rows:
        search = self.opened[variant].search
        rows_QK = np.full((len(queries_QM), k), -1, np.int64)
        for row_K, query_M, effort in zip(rows_QK, queries_QM, efforts_Q.tolist(), strict=True):
            found = search(query_M, k, effort)
            row_K[: len(found)] = found
        return rows_QK

    def time(
        self, variant: str, queries_QM: Floats, k: int, efforts_Q: NDArray[np.int64], clock: str
    ) -> NDArray[np.float64]:
        search, now = self.opened[variant].search, CLOCKS[clock]
        seconds_Q = np.empty(len(queries_QM))
        asked: Any = zip(queries_QM, efforts_Q.tolist(), strict=True)
        for place, (query_M, effort) in enumerate(asked):
            started = now()
            search(query_M, k, effort)
            seconds_Q[place] = now() - started
        return seconds_Q
