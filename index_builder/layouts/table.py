"""Table 4 as a page and as JSON: what each layout costs, the paper's figure beside ours.

Decisions: the page says whose vectors it compares, how to repeat it and on what it was measured;
both files are replaced whole or not at all.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bundle.writing import write_atomically
from index_builder.layouts.vectors import Drawn
from index_builder.provenance import commit, processor

# The figures of Table 4 at hand: storage over one vector, time over an unweighted search.
PAPER_BYTES, PAPER_TIME = {"MVKE": "+299 %"}, {"CSMF": "+0.83 %"}
NOTE = """Bytes are those of the index file: fp16 codes, 8 bytes of id an item, the cells' means.
In codes alone MVKE takes four times as much, which is the paper's +299 %. Milliseconds are one
user's whole answer on one thread, median over users and rounds: scaling the segments (CSMF),
searching, merging (DMMP). In a round all users ask all layouts, in an order drawn anew. Ratios of
time are medians over rounds of the ratio within a round.

Searches are timed twice: visiting as many cells, and as many as a layout needs for one recall of
its own exact list.
"""


@dataclass(frozen=True)
class Setting:
    """What is measured."""

    items: int
    users: int
    rounds: int
    k: int
    probes: int
    recall: float
    index: str | None = None  # whose vectors; synthetic ones without
    seed: int = 0

    @property
    def command(self) -> str:
        """What repeats it."""
        index = f"--index releases/{self.index} " if self.index else ""
        return (
            f"python -m index_builder.layouts {index}--items {self.items} --users {self.users} "
            f"--rounds {self.rounds} --k {self.k} --probes {self.probes} --recall {self.recall:g} "
            "--out DIR"
        )


@dataclass(frozen=True)
class Cost:
    """One row; ratios are to the first layout."""

    name: str
    item_dims: int
    searches: int
    index_bytes: int
    bytes_ratio: float
    milliseconds: float
    time_ratio: float
    time_ratio_quartiles: tuple[float, float]  # over rounds
    recall: float
    probes_at_recall: int
    milliseconds_at_recall: float
    time_ratio_at_recall: float


def write_table(out: Path, setting: Setting, drawn: Drawn, costs: Sequence[Cost]) -> str:
    """Write `table4.json` and `table4.md` into `out`; the page."""
    facts = {
        "command": setting.command,
        "commit": commit(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()}; one thread used",
    }
    rows = [asdict(cost) | {"paper_bytes": PAPER_BYTES.get(cost.name)} for cost in costs]
    document = facts | {"vectors": drawn.name, "setting": asdict(setting), "layouts": rows}
    page = _page(setting, drawn, costs, facts)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "table4.json", (json.dumps(document, indent=1) + "\n").encode())
    write_atomically(out / "table4.md", page.encode())
    return page


def _page(setting: Setting, drawn: Drawn, costs: Sequence[Cost], facts: dict[str, str]) -> str:
    rows = [
        f"| {cost.name} | {cost.item_dims} | {cost.searches} | {cost.index_bytes / 1e6:,.0f} "
        f"| {cost.bytes_ratio - 1:+.0%} | {PAPER_BYTES.get(cost.name, '')} "
        f"| {cost.milliseconds:.2f} | {cost.time_ratio - 1:+.0%} "
        f"| {PAPER_TIME.get(cost.name, '')} | {cost.recall:.3f} "
        f"| {cost.milliseconds_at_recall:.2f} | {cost.time_ratio_at_recall - 1:+.0%} "
        f"| {cost.probes_at_recall} |"
        for cost in costs
    ]
    first = costs[0].name
    lines = [
        f"# Table 4: storage and search time at {setting.items:,} items",
        "",
        f"| layout | dims of an item | searches | index, MB | bytes over {first} | in the paper "
        f"| ms, {setting.probes} cells | time over {first} | in the paper | recall@{setting.k} "
        f"| ms, recall {setting.recall:g} | time over {first} | cells that takes |",
        "| --- |" + 12 * " ---: |",
        *rows,
        "",
        NOTE,
        drawn.note,
        "",
        f"`{facts['command']}`, commit {facts['commit']}, {facts['date']}; {facts['machine']}.",
    ]
    return "\n".join(lines) + "\n"
