"""Pictures: recall over time, a panel a list length; cost over the number of items."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from index_builder.bench.goals import BY_MAP
from index_builder.bench.growth import Fit

COLOURS = [f"C{number}" for number in (3, 7, 0, 9, 4, 2, 1, 8, 5, 6)]
MARKERS = "oXsv^<>dxP"


def plot_curves(document: Mapping[str, Any], out: Path) -> None:
    """Recall in the worst direction over the milliseconds of a query; the best build of each."""
    lengths = sorted({point["k"] for row in document["contenders"] for point in row["points"]})
    figure = Figure(figsize=(5 * len(lengths), 5), layout="constrained")
    panels = figure.subplots(1, len(lengths), squeeze=False)[0]
    names = list(dict.fromkeys(row["contender"] for row in document["contenders"]))
    for k, axes in zip(lengths, panels, strict=True):
        for place, name in enumerate(names):
            curve = pareto(document, name, k)
            style = {
                "color": COLOURS[place % len(COLOURS)],
                "marker": MARKERS[place % len(MARKERS)],
            }
            axes.plot([ms for ms, _ in curve], [recall for _, recall in curve], label=name, **style)
        axes.set(title=f"k = {k}", xscale="log", xlabel="ms of a query", ylim=(0.75, 1.005))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("recall, worst weights")
    panels[0].legend(fontsize="small")
    figure.suptitle(f"{document['name']} vectors: up and left is better")
    figure.savefig(out, dpi=110)


def pareto(document: Mapping[str, Any], name: str, k: int) -> list[tuple[float, float]]:
    """A contender's points that no other of its own beats in both: (ms, recall), by time."""
    points = sorted(
        (point["ms"], point["worst"])
        for row in document["contenders"]
        if row["contender"] == name and row["variant"] != BY_MAP  # which has an effort a weighting
        for point in row["points"]
        if point["k"] == k
    )
    curve: list[tuple[float, float]] = []
    for ms, recall in points:
        if not curve or recall > curve[-1][1]:
            curve.append((ms, recall))
    return curve


def plot_growth(document: Mapping[str, Any], out: Path) -> None:
    """Measured costs and their fits over the number of items, on log scales."""
    figure = Figure(figsize=(15, 5), layout="constrained")
    parts = (("ms",), ("bytes", "resident"), ("k-means", "fill", "calibrate"))
    labels = ("ms of a query", "bytes", "seconds of a build")
    for axes, costs, label in zip(figure.subplots(1, 3), parts, labels, strict=True):
        for (build, found), (marker, line) in zip(
            document["builds"].items(), (("o", "-"), ("x", "--")), strict=False
        ):
            items = [row["items"] for row in found["sizes"]]
            for place, cost in enumerate(costs):
                fitted, colour = found["fits"][cost], COLOURS[place]
                measured = [row[cost] for row in found["sizes"]]
                name = f"{build}, {cost}: fixed part + N^{fitted['exponent']:.2f}"
                axes.plot(items, measured, marker, color=colour)
                along = [Fit(**fitted).at(each) for each in items]
                axes.plot(items, along, line, color=colour, label=name)
        axes.set(xscale="log", yscale="log", xlabel="items", ylabel=label)
        axes.legend(fontsize="small")
        axes.grid(alpha=0.3)
    figure.savefig(out, dpi=110)
