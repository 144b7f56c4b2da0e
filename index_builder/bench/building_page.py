"""docs/results/building.md, written from the figures beside it; a test holds the two together.

python -m index_builder.bench.building_page
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "building"
FIGURES = Path(__file__).parents[2] / "docs" / "results" / f"{NAME}.json"
INTRO = """# Building

What a build takes beside its libraries: an index of {items:,} items, and {encoded:,} items encoded.
`index_builder/bench/building.py` says what is compared; how a build goes, and what made it fast:
[indexing.md](../indexing.md). Starting a service: [starting.md](starting.md).

"""


@dataclass(frozen=True)
class Goal:
    """A ratio that was asked for: on the clock, or of the processor's time."""

    name: str
    least: float = 0.0
    most: float = float("inf")


GOALS = (Goal("encoding", least=0.9), Goal("index", most=1.3), Goal("effort_map", most=0.2))
TEXTS = {
    "encoding": "encoding: items a second, of a bare loop's",
    "index": "index: time, of FAISS's alone",
    "effort_map": "effort map: share of the whole build",
}


def ratios(steps: Mapping[str, Any], unit: str, written: Mapping[str, Any]) -> dict[str, float]:
    """Ours of theirs, and the effort map's share, in one of the two units."""
    cost = {name: each[unit] for name, each in steps.items()}
    index = sum(cost[name] for name in ("kmeans", "fill", "effort_map", "seal"))
    encoding = cost["encode"] * written["items"] / written["encoded"]
    return {
        "encoding": cost["encode_bare"] / cost["encode"],
        "index": index / (cost["faiss_kmeans"] + cost["faiss_add"]),
        "effort_map": cost["effort_map"] / (encoding + index),
    }


def met(goal: Goal, found: Mapping[str, float]) -> bool:
    """Whether a ratio is within its bounds."""
    return goal.least <= found[goal.name] <= goal.most


def page(written: Mapping[str, Any]) -> str:
    """The page over a file of figures."""
    clock, processor = (
        ratios(written["steps"], unit, written) for unit in ("seconds", "processor_s")
    )
    rows = ["| | on the clock | processor's time | goal |", "|---|---|---|---|"]
    for goal in GOALS:
        cells = [
            f"{found[goal.name]:.2f}" if met(goal, found) else f"**{found[goal.name]:.2f}**"
            for found in (clock, processor)
        ]
        bound = f"≥ {goal.least}" if goal.least else f"≤ {goal.most}"
        rows.append(f"| {TEXTS[goal.name]} | {' | '.join(cells)} | {bound} |")
    steps = ["| step | seconds | processor's seconds |", "|---|---|---|"]
    for name, cost in written["steps"].items():
        steps.append(f"| {name} | {cost['seconds']:.1f} | {cost['processor_s']:.1f} |")
    where, began = written["machine"], written["began"][:16].replace("T", " ")
    tables = "\n".join(rows) + "\n\n" + "\n".join(steps)
    return (
        f"{INTRO.format(**written)}{tables}\n\nMeasured {began} on commit {written['commit']}, "
        f"{where['processor']}, {where['cores']} cores, {written['threads']} threads, load average "
        f"{where['load']}, peak memory {written['peak_gib']} GiB with mapped pages. A **bold** "
        "figure missed its goal. With a load average near or above the number of cores, go by "
        f"the processor's time.\n\n```\n{written['command']}\n```\n\n"
        f"All figures: [{NAME}.json]({NAME}.json).\n"
    )


def write_page(path: Path) -> None:
    """Write the page beside its figures."""
    path.with_suffix(".md").write_text(page(json.loads(path.read_text("utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    write_page(FIGURES)
