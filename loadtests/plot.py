"""The pictures of load tests: a run over time, an overload over the load that was offered.

plot_run(history_csv, changes_csv, Path("run.png"), title="50 users")
plot_overload(figures, ["full", "steps"], (0.5, 1, 5), Path("overload.png"))
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_PERCENTILES = {"50%": "#7fb3d5", "95%": "#2e86c1", "99%": "#1b4f72"}

_COUNTERS = (
    ("answers", "Total Request Count", "#1e8449"),
    ("failures", "Total Failure Count", "#c0392b"),
)


def plot_run(history: Path, changes: Path, out: Path, title: str) -> None:
    """Write a PNG of three panels over the seconds of the run."""
    rows = [row for row in _read(history) if row["Name"] == "retrieve"]
    start = float(rows[0]["Timestamp"]) if rows else 0.0
    figure = Figure(figsize=(9, 8), layout="constrained")
    latency, rate, weights = figure.subplots(3, 1, sharex=True)
    _plot_latency(latency, rows, start)
    _plot_rate(rate, rows, start)
    _plot_changes(weights, _read(changes), start)
    weights.set_xlabel("seconds since the first request")
    figure.suptitle(title)
    figure.savefig(out, dpi=120)


def plot_overload(
    figures: Mapping[str, float], services: Sequence[str], loads: Sequence[float], out: Path
) -> None:
    """Write a PNG of goodput, times and effort of each service over the load."""
    figure = Figure(figsize=(9, 9), layout="constrained")
    goodput, times, effort = figure.subplots(3, 1, sharex=True)

    def plot(axes: Axes, name: str, label: str = "", **style: str) -> None:
        for service, colour in zip(services, ("#7fb3d5", "#1b4f72"), strict=True):
            values = [figures[f"{service}_{load:g}x_{name}"] for load in loads]
            axes.plot(loads, values, color=colour, label=f"{service}{label}", marker=".", **style)

    plot(goodput, "goodput_of_capacity")
    goodput.plot(loads, [min(1, load) for load in loads], color="#b2babb", label="ideal")
    goodput.axhline(0.9, color="#c0392b", linewidth=0.8)
    plot(times, "p99_ms", ", p99")
    plot(times, "p50_ms", ", p50", linestyle="--")
    plot(times, "refused_p99_ms", ", refusals p99", linestyle=":")
    times.axhline(2 * figures["unloaded_p99_ms"], color="#c0392b", linewidth=0.8)
    plot(effort, "effort")
    goodput.set(ylabel="answers, of capacity", ylim=(0, None))
    times.set(ylabel="ms since the request was due", yscale="log")
    effort.set(ylabel="search effort", ylim=(0, 1.05), xlabel="requests offered, of capacity")
    for axes in (goodput, times, effort):
        _add_legend(axes)
    figure.suptitle(
        f"one worker on one core, capacity {figures['capacity_per_s']:.0f} requests a second"
    )
    figure.savefig(out, dpi=120)


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _seconds(rows: list[dict[str, str]], start: float) -> list[float]:
    return [float(row["Timestamp"]) - start for row in rows]


def _plot_latency(axes: Axes, rows: list[dict[str, str]], start: float) -> None:
    known = [row for row in rows if row["99%"] not in {"N/A", "0"}]  # nothing was answered yet
    for column, colour in _PERCENTILES.items():
        values = [float(row[column]) for row in known]
        axes.plot(_seconds(known, start), values, color=colour, label=column)
    axes.set(ylabel="retrieve, ms\n(last 10 s)", ylim=(0, None))
    _add_legend(axes)


def _plot_rate(axes: Axes, rows: list[dict[str, str]], start: float) -> None:
    seconds = _seconds(rows, start)
    for label, column, colour in _COUNTERS:
        counts = [int(row[column]) for row in rows]
        steps = zip(pairwise(seconds), pairwise(counts), strict=True)
        rates = [(after - before) / (end - begin) for (begin, end), (before, after) in steps]
        axes.plot(seconds[1:], rates, color=colour, label=label)
    axes.set(ylabel="per second", ylim=(0, None))
    _add_legend(axes)


def _plot_changes(axes: Axes, changes: list[dict[str, str]], start: float) -> None:
    for change in (change for change in changes if change["slowest_ms"]):
        second = float(change["unix_time"]) - start
        span = [float(change["fastest_ms"]), float(change["slowest_ms"])]
        axes.plot([second, second], span, color="#7d3c98", marker="_", linewidth=2)
    axes.set(ylabel="new weights served, ms\n(first to last connection)", ylim=(0, None))


def _add_legend(axes: Axes) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)  # beside, not over, lines
