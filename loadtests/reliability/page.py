"""docs/results/reliability.md, written from the figures that experiments left beside it.

Decisions
- Nothing is written by hand: what an experiment asks is the first line of its module, the rest is
  in its JSON file. A test holds the committed page against the committed figures.
- An experiment that leaves its figures there writes the page anew.
- Many figures with one bound and one first word are one entry, from the least to the largest.

    python -m loadtests.reliability page
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

FIGURES = Path(__file__).parents[2] / "docs" / "results" / "reliability"
SHOWN_ALONE = 3  # figures with one bound and one first word
INTRO = """# Reliability

Experiments that harm a running service, and what it did. `python -m loadtests.reliability page`
writes this page from the figures in [reliability/](reliability); what each experiment does is in
[loadtests.md](../loadtests.md). All share their machine with the service that they ask, and some
with other work: times are upper bounds, and the load average says how busy it was. A `+` behind the
commit: the work tree had changes.

| experiment | asks | reached (bound) | verdict | when, commit, machine |
|---|---|---|---|---|
"""


def page(experiments: Mapping[str, ModuleType], folder: Path = FIGURES) -> str:
    """The page over all experiments that left figures in the folder."""
    paths = {name: folder / f"{name}.json" for name in experiments}
    found = {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}
    rows = [_row(name, experiments[name], document) for name, document in found.items()]
    parts = [_section(name, document, folder) for name, document in found.items()]
    return INTRO + "\n".join(rows) + "\n\n" + "\n".join(parts)


def write_page(experiments: Mapping[str, ModuleType]) -> Path:
    """Write it; where it is."""
    path = FIGURES.with_suffix(".md")
    path.write_text(page(experiments), encoding="utf-8")
    return path


def _row(name: str, module: ModuleType, document: Mapping[str, Any]) -> str:
    asks = (module.__doc__ or "").splitlines()[0]
    machine = document["machine"]
    when = document["began"][:16].replace("T", " ")
    commit = document.get("commit", "—")
    where = f"{when}, {commit}, {machine['cores']} cores, load {machine['load_average']}"
    missed = [f"`{each['figure']}`" for each in document["thresholds"] if not each["met"]]
    verdict = "**missed**: " + ", ".join(missed) if missed else "met"
    reached = "<br>".join(_reached(document))
    return f"| [{name}](#{name}) | {asks} | {reached} | {verdict} | {where} |"


def _reached(document: Mapping[str, Any]) -> Iterator[str]:
    """Each threshold, or each group of them, as people read it."""
    figures = document["figures"]
    kinds = groupby(document["thresholds"], lambda t: (t["figure"].split("_")[0], t["bound"]))
    for (word, bound), thresholds in kinds:
        names = [each["figure"] for each in thresholds]
        values = [figures[name] for name in names]
        if len(names) > SHOWN_ALONE:
            yield f"{len(names)} × `{word}_…` {min(values):g} to {max(values):g} ({bound})"
        else:
            yield from (
                f"`{n}` {value:g} ({bound})" for n, value in zip(names, values, strict=True)
            )


def _section(name: str, document: Mapping[str, Any], folder: Path) -> str:
    picture = f"\n![{name}](reliability/{name}.png)\n" if (folder / f"{name}.png").exists() else ""
    lines = (f"| `{figure}` | {value:.6g} |\n" for figure, value in document["figures"].items())
    figures = (
        "<details><summary>All figures</summary>\n\n| figure | |\n|---|---:|\n"
        f"{''.join(lines)}\n[{name}.json](reliability/{name}.json)\n\n</details>\n"
    )
    return f"## {name}\n\n```\n{document['command']}\n```\n{picture}\n{figures}"
