"""The picture of a soak: latency, memory and open files over its minutes; lines where a pair came.

plot_soak(looks, slices, done, Path("soak.png"))
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from loadtests.reliability.soak import Look, Slice

PERCENTILES = {50: "#7fb3d5", 99: "#1b4f72"}


def plot_soak(
    looks: Sequence[Look], slices: Sequence[Slice], done: Sequence[tuple[float, str]], out: Path
) -> None:
    """Write a PNG of three panels."""
    figure = Figure(figsize=(9, 8), layout="constrained")
    latency, memory, files = figure.subplots(3, 1, sharex=True)
    for percent, colour in PERCENTILES.items():
        known = [each for each in slices if len(each.milliseconds) > 1]
        values = [each.percentile(percent) for each in known]
        minutes = [each.second / 60 for each in known]
        latency.plot(minutes, values, color=colour, label=f"{percent}%")
    latency.set(ylabel="retrieve, ms", yscale="log")
    minutes = [look.second / 60 for look in looks]
    for name, colour in {"resident": "#d4ac0d", "proportional": "#1e8449"}.items():
        memory.plot(
            minutes, [getattr(look, name) / 2**20 for look in looks], color=colour, label=name
        )
    memory.set(ylabel="MB, all workers", ylim=(0, None))
    files.plot(minutes, [look.files for look in looks], color="#7d3c98", label="open files")
    files.set(ylabel="all workers", ylim=(0, None), xlabel="minutes")
    for axes in (latency, memory, files):
        for second in (at for at, name in done if name == "pair"):
            axes.axvline(second / 60, color="#bbbbbb", linewidth=0.8, zorder=0)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.savefig(out, dpi=120)
