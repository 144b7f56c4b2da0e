"""Who takes part: each contender built by a process of its own, then opened by another.

Decisions
- A build has all cores; a search has one thread. Two processes, since libraries read the number of
  threads once, and since the memory of a build must not count as that of the index.
- Files of an earlier run in the same work directory are used again, with the seconds noted then, if
  they are of the same vectors and the same library. Whoever changes how ours are built empties it.
- Memory is what the process grew by when it opened the files and searched them through.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bundle.files import sha256
from bundle.writing import write_atomically
from index_builder.bench.contenders.contender import Given, Variant
from index_builder.bench.worker import LeftOutError, Worker
from index_builder.progress import Phases

# The first one is what the others are compared with.
CONTENDERS = (
    "ours",
    "exact",
    "faiss_ivf",
    "faiss_codes",
    "faiss_hnsw",
    "scann_tree",
    "hnswlib_graph",
    "usearch_graph",
    "voyager_graph",
    "fused_lists",
)
GRAPHS = ("faiss_hnsw", "hnswlib_graph", "usearch_graph", "voyager_graph")  # slow to build
MORE_GRAPHS = tuple(
    name for name in GRAPHS if name != "hnswlib_graph"
)  # slower than it, at a million
NOTE = "built.json"
Json = dict[str, Any]
Choice = Literal["fp16", "default", "usual", "heavy", "all"]  # of a contender's variants
TOUCHING = 3  # queries that search everything


@dataclass(frozen=True)
class Cost:
    """Of a variant's files: seconds of the build and of its parts, bytes on disk and in memory."""

    build_seconds: dict[str, float]
    bytes: int
    resident: int
    private: int


@dataclass(frozen=True)
class Entrant:
    """A contender, opened: its process, variants, largest effort and cost of each."""

    name: str
    version: str  # of its library, with its name
    effort: str
    worker: Worker
    variants: tuple[Variant, ...]
    most: dict[str, int]
    costs: dict[str, Cost]
    vectors: dict[str, int]  # bytes of the items' vectors, of variants that read them


@dataclass(frozen=True)
class Field:
    """All entrants, and who was left out and why."""

    entrants: list[Entrant]
    left_out: dict[str, str]


def admit(
    names: Sequence[str],
    given: Given,
    work: Path,
    choice: Choice,
    cores: set[int],
    phases: Phases,
    stack: ExitStack,
) -> Field:
    """Build and open all; their processes end with the stack."""
    field, vectors = Field([], {}), sha256(given.items)
    for name in names:
        try:
            with phases(f"build {name}"):
                built = _build(name, given, vectors, work / name, choice, cores)
            field.entrants.append(_open(name, given, work / name, built, cores, stack))
        except LeftOutError as error:
            field.left_out[name] = str(error)
    return field


def chosen(variants: Sequence[Variant], choice: Choice) -> tuple[Variant, ...]:
    """All; one by its name; or the usual ones: those of the first one's files and those marked so.

    For `heavy` vectors there are more of these.
    """
    if choice == "all":
        return tuple(variants)
    if choice not in ("usual", "heavy"):
        return tuple(each for each in variants if each.name == choice)
    marks = ("always", choice)
    first = variants[0].files
    return tuple(each for each in variants if each.usual in marks or each.files == first)


def _build(
    name: str, given: Given, vectors: str, work: Path, choice: Choice, cores: set[int]
) -> dict[str, tuple[Variant, Json]]:
    """Variants that take part, and what each build cost."""
    built = {}
    with Worker(name, cores, threads=len(cores)) as worker:
        library, _, variants = worker.describe()
        origin = [library, vectors]
        for variant in chosen(variants, choice):
            directory = work / variant.files
            if _origin(directory) != origin:
                shutil.rmtree(directory, ignore_errors=True)  # another's, or one that was cut short
                directory.mkdir(parents=True)
                seconds = worker.build(given, variant, directory)
                size = sum(file.stat().st_size for file in directory.iterdir())
                cost = {"build_seconds": seconds, "bytes": size}
                note = {"origin": origin, "cost": cost}
                write_atomically(directory / NOTE, json.dumps(note).encode())
            built[variant.name] = variant, json.loads((directory / NOTE).read_bytes())["cost"]
    return built


def _origin(directory: Path) -> object:
    """Of the files that an earlier run left: library and vectors; None where there are none."""
    try:
        return json.loads((directory / NOTE).read_bytes()).get("origin")
    except FileNotFoundError:
        return None


def _open(
    name: str,
    given: Given,
    work: Path,
    built: dict[str, tuple[Variant, Json]],
    cores: set[int],
    stack: ExitStack,
) -> Entrant:
    worker = stack.enter_context(Worker(name, cores, threads=1))
    library, effort, _ = worker.describe()
    most: dict[str, int] = {}
    costs: dict[str, Cost] = {}
    grown: dict[str, dict[str, int]] = {}
    for variant, cost in built.values():
        before = worker.memory()
        most[variant.name] = worker.open_index(given, variant, work / variant.files)
        if variant.files not in grown:
            _touch(worker, given, variant, most[variant.name])
            after = worker.memory()
            grown[variant.files] = {each: after[each] - before[each] for each in after}
        costs[variant.name] = Cost(**(cost | grown[variant.files]))
    variants = tuple(variant for variant, _ in built.values())
    vectors = {each.name: given.read_items().nbytes * each.reads_items for each in variants}
    return Entrant(name, library, effort, worker, variants, most, costs, vectors)


def _touch(worker: Worker, given: Given, variant: Variant, most: int) -> None:
    queries_QM = given.shaping_UM[:TOUCHING]
    worker.search(variant.name, queries_QM, 10, np.full(len(queries_QM), most))
