"""A whole run: draw vectors, measure each set, leave figures, pictures and the page.

Decisions
- Everything that a figure depends on is in its file: command, commit, date, machine, load.
- Files of figures are replaced whole or not at all; what a run measured stays if a later one fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bundle.store import read_current, read_pair
from bundle.writing import write_atomically
from index_builder.bench import growth as growing
from index_builder.bench.entrants import CONTENDERS, GRAPHS, MORE_GRAPHS
from index_builder.bench.page import page
from index_builder.bench.plots import plot_curves, plot_growth
from index_builder.bench.search import Document, Setting, measure
from index_builder.bench.vectors import Drawn, from_generator, from_release
from index_builder.errors import InputError
from index_builder.progress import Phases
from index_builder.provenance import commit, machine

FINE = (0.8, 0.9, 0.99)  # recalls of the curves, beside those that are compared
COARSE = (0.9,)


def search(arguments: argparse.Namespace) -> None:
    """Measure all sets of vectors and write `search-<items>.json` and its pictures."""
    document = _origin(arguments)
    phases, cores = Phases(), os.sched_getaffinity(0)
    setting = _setting(arguments)
    asked = ("items", "users", "rounds", "timed")
    document["setting"] = {name: getattr(setting, name) for name in asked}
    document["clock"] = setting.clock
    with _work(arguments.work) as work:
        sets = [
            measure(
                _for(setting, drawn, arguments), drawn, work / drawn.given.items.stem, cores, phases
            )
            for drawn in _draw(arguments, work)
        ]
        if arguments.releases:
            with phases("layouts"):
                document["layouts"] = _layouts(arguments, work)
    document |= {"sets": sets, "seconds": phases.seconds}
    path = _write(arguments.out, f"search-{setting.items}", document)
    for each in sets:
        plot_curves(each, path.with_name(f"{path.stem}-{each['name']}.png"))


def growth(arguments: argparse.Namespace) -> None:
    """Measure ours at all sizes and write `growth.json` and its picture."""
    document, phases = _origin(arguments), Phases()
    with _work(arguments.work) as work:
        sizes = sorted({*arguments.sizes, arguments.check})
        draw = _drawing(arguments)
        cores = os.sched_getaffinity(0)
        settings = arguments.check, draw, work, arguments.rounds, arguments.clock, cores, phases
        document |= growing.measure(sizes, *settings)
    document |= {"clock": arguments.clock, "seconds": phases.seconds}
    path = _write(arguments.out, "growth", document)
    plot_growth(document, path.with_suffix(".png"))


def write_page(out: Path) -> Path:
    """Write the page beside the directory of its figures; where it is."""
    path = out.with_suffix(".md")
    write_atomically(path, page(out).encode())
    return path


def _setting(arguments: argparse.Namespace) -> Setting:
    unknown = set(arguments.contenders or ()) - set(CONTENDERS)
    if unknown:
        raise InputError(
            "--contenders",
            "",
            found=f"{sorted(unknown)}",
            remedy=f"there are {', '.join(CONTENDERS)}",
        )
    names = arguments.contenders or CONTENDERS
    return Setting(
        items=arguments.items,
        users=arguments.users,
        rounds=arguments.rounds,
        timed=arguments.timed,
        contenders=tuple(name for name in CONTENDERS if name in {"ours", *names}),
        choice="all" if arguments.all_variants else "usual",
        curve=COARSE if arguments.quick else FINE,
        clock=arguments.clock,
    )


def _for(setting: Setting, drawn: Drawn, arguments: argparse.Namespace) -> Setting:
    """What takes part over this set."""
    if drawn.name == "heavy" and setting.choice == "usual":
        setting = replace(setting, choice="heavy")
    if not arguments.quick:
        return setting
    slow = MORE_GRAPHS if drawn.name == "trained" else GRAPHS
    fast = tuple(name for name in setting.contenders if name not in slow)
    return replace(setting, contenders=fast)


def _draw(arguments: argparse.Namespace, work: Path) -> Iterator[Drawn]:
    if arguments.releases:
        yield _drawing(arguments)(arguments.items, work)
    items = arguments.items // 10 if arguments.quick and arguments.releases else arguments.items
    yield from_generator(items, arguments.users, work, np.random.default_rng(0))


def _drawing(arguments: argparse.Namespace) -> growing.Draw:
    """How vectors of any number are drawn: of the release if there is one."""
    if not arguments.releases:
        return lambda items, work: from_generator(
            items, arguments.users, work, np.random.default_rng(0)
        )
    bundle, index = read_pair(arguments.releases, read_current(arguments.releases))
    return lambda items, work: from_release(
        bundle, index, items, arguments.users, work, np.random.default_rng(0)
    )


def _layouts(arguments: argparse.Namespace, work: Path) -> object:
    """Table 4 of the paper in the same run, on the core of the timing."""
    current = read_current(arguments.releases)
    index = arguments.releases / current.run_id / "index" / current.build_id
    items = min(arguments.layout_items, arguments.items)
    options = {"index": index, "items": items, "rounds": arguments.rounds, "users": arguments.users}
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-m", "index_builder.layouts", *words, "--scratch", str(work)]
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # which the process inherits
    try:
        with tempfile.TemporaryDirectory(dir=work) as out:
            subprocess.run(  # noqa: S603  # our own interpreter
                [*command, "--out", out], check=True, stdout=subprocess.DEVNULL
            )
            document = json.loads((Path(out) / "table4.json").read_text())
    finally:
        os.sched_setaffinity(0, cores)
    return {"items": items, "rows": document["layouts"]}


def _origin(arguments: argparse.Namespace) -> Document:
    command = ["python", "-m", "index_builder.bench", *sys.argv[1:]]
    return {
        "command": shlex.join(_without_machine(command, arguments)),
        "commit": commit(),
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": machine(),
    }


def _without_machine(command: list[str], arguments: argparse.Namespace) -> list[str]:
    """The command without the directories of whoever ran it."""
    private = {
        str(path): name
        for name, path in (
            ("RELEASES", arguments.releases),
            ("WORK", arguments.work),
            ("OUT", arguments.out),
        )
        if path and path.is_absolute()
    }
    return [private.get(word, word) for word in command]


@contextmanager
def _work(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
    else:
        with tempfile.TemporaryDirectory() as work:
            yield Path(work)


def _write(out: Path, name: str, document: Mapping[str, object]) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.json"
    write_atomically(path, (json.dumps(document, indent=1) + "\n").encode())
    return path
