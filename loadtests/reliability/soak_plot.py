"""The picture of a soak: latency, the machine, memory and files; lines where a pair came.

plot_soak({"p99": (minutes, milliseconds)}, {"probe": …}, {"resident": …}, …, [5.0], Path("…"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

Line = tuple[Sequence[float], Sequence[float]]  # minutes, values

COLOURS = {
    "50%": "#7fb3d5",
    "99%": "#1b4f72",
    "probe": "#922b21",
    "resident": "#d4ac0d",
    "proportional": "#1e8449",
    "open files": "#7d3c98",
}


def plot_soak(
    latency: Mapping[str, Line],
    machine: Mapping[str, Line],
    memory: Mapping[str, Line],
    files: Mapping[str, Line],
    swaps: Sequence[float],
    out: Path,
) -> Figure:
    """Write a PNG of four panels: milliseconds twice, MB, a count; the figure."""
    figure = Figure(figsize=(9, 10), layout="constrained")
    panels = figure.subplots(4, 1, sharex=True)
    panels[0].set(ylabel="retrieve, ms", yscale="log")
    panels[1].set(ylabel="fixed work, ms")
    panels[2].set(ylabel="MB, all workers")
    panels[3].set(ylabel="all workers", xlabel="minutes")
    for axes, lines in zip(panels, (latency, machine, memory, files), strict=True):
        for name, (minutes, values) in lines.items():
            axes.plot(minutes, values, color=COLOURS[name], label=name)
        for minute in swaps:
            axes.axvline(minute, color="#bbbbbb", linewidth=0.8, zorder=0)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    for axes in panels[1:]:
        axes.set_ylim(bottom=0)  # after the lines: what is set before is for good
    figure.savefig(out, dpi=120)
    return figure
