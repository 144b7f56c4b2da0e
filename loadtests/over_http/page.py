"""docs/results/http.md, written from the figures beside it; a test holds the two together.

python -m loadtests.over_http.page
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).parents[2] / "docs" / "results" / "http.json"
INTRO = """# The HTTP path

What HTTP adds to a request: a worker of `csmf-serve` with a client on one core, against the same
work done in one process on that core, in turns of about a second. The work is to read and validate
the body, find the weights, encode the user, run the tower, search, and write the answer. How it is
measured: [loadtests.md](../loadtests.md#the-http-path-against-the-same-work-in-one-process); what
made it fast, and what did not help: [lab-notes.md](../lab-notes.md#what-http-costs).
"""
SHARED = """

**Other programs wanted the cores, too.** What changes hands between two processes waits for them
each time, so most rows tell of those programs and not of the service. The one that tells of it is
the last of one event loop, and that is an upper bound: caches are cold after each wait."""
ROWS = {
    "inprocess_p50_ms": "in one process, p50, ms",
    "p50_ms": "over HTTP, one at a time, p50, ms",
    "p50_ratio": "… of the one in one process",
    "p50_cpu_ratio": "… the same in processor time, client included",
    "one_loop_p50_ratio": "client, server and the work on one event loop: p50 of p50",
    "one_loop_p25_ratio": "… p25 of p25",
    "one_loop_p5_ratio": "… p5 of p5, what nobody interrupted",
    "inprocess_per_s": "in one process, a second",
    "per_s": "over HTTP, eight at a time, client on the same core, a second",
    "throughput_ratio": "… of the one in one process",
    "throughput_cpu_ratio": "… the same in processor time",
    "inprocess_cpu_us": "processor time in one process, µs a request",
    "worker_cpu_us": "… of the worker",
    "client_cpu_us": "… of the client",
    "client_share": "client's share of both",
    "two_workers": "two workers on two cores, of one on one",
    "capacity_per_s": "a worker alone on its core, a second",
    "load70_p50_ms": "at 70 % of that, open loop, p50, ms",
    "load70_p99_ms": "… p99, ms",
    "load70_p99_of_p50": "… p99 of p50",
    "load70_sent_late_p99_ms": "… how late the client was, p99, ms",
    "load70_failed": "… without an answer",
    "weighted_p50_ratio": "p50 under weights that an operator set, of p50 under the bundle's",
}
ONCE = {
    "visible_p50_ms": "two workers: a change of weights is visible after, p50, ms",
    "visible_p99_ms": "… p99, ms",
}


def page(document: Mapping[str, Any]) -> str:
    """The page over a file of figures."""
    figures, machine = document["figures"], document["machine"]
    lengths = sorted({int(name[1:].split("_")[0]) for name in figures if name[0] == "k"})
    heads = "".join(f" k = {k} |" for k in lengths)
    rows = [f"| {figures['items']:,} items |{heads} goal |\n|---|{'---|' * (len(lengths) + 1)}"]
    goals = {each["figure"]: each for each in document["thresholds"]}
    for name, text in ROWS.items():
        names = [f"k{k}_{name}" for k in lengths]
        rows.append(f"| {text} | {_cells(names, figures, goals)} |")
    once = [f"| {text} | {_cells([name], figures, goals)} |" for name, text in ONCE.items()]
    where = (
        f"Measured {document['began'][:16].replace('T', ' ')} on commit {document['commit']}, "
        f"{machine['cores']} cores, load average {machine['load_average']}, "
        f"Python {machine['python']}. A **bold** figure missed its goal. Figures in milliseconds "
        "and a second hold for a quiet machine only; ratios are taken of neighbouring turns."
    )
    if machine["load_average"] > machine["cores"]:
        where += SHARED
    command = f"```\n{document['command']}\n```"
    tables = "\n".join(rows) + "\n\n| weights | | goal |\n|---|---|---|\n" + "\n".join(once)
    return f"{INTRO}\n{tables}\n\n{where}\n\n{command}\n\nAll figures: [http.json](http.json).\n"


def write_page(path: Path) -> Path:
    """Write the page beside its figures; where it is."""
    text = page(json.loads(path.read_text(encoding="utf-8")))
    written = path.with_suffix(".md")
    written.write_text(text, encoding="utf-8")
    return written


def _cells(names: list[str], figures: Mapping[str, float], goals: Mapping[str, Any]) -> str:
    """A value for each list length, and what was asked of it."""
    values = [f"{figures[name]:.4g}" for name in names]
    missed = [name in goals and not goals[name]["met"] for name in names]
    cells = [f"**{v}**" if m else v for v, m in zip(values, missed, strict=True)]
    bounds = {goals[name]["bound"] for name in names if name in goals}
    return " | ".join([*cells, "".join(bounds)])


if __name__ == "__main__":
    write_page(FIGURES)
