"""The pictures: fronts of two objectives, and curves over one setting.

Decisions
- A front is drawn from means over seeds: the lists that mean validation recall keeps, where they
  are on test. A method with one list is one mark; that of the best-tuned union has a star around.
- Larger variants and lists merged from two searches are in the table of hypervolumes alone: with
  them nobody could read the picture.
- Curves have bars of a standard deviation between seeds; users add to it.

Dimension letters: L lists; 2 are the last two objectives.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from training.evaluation.metrics import Floats
from training.paper.contender import MERGED
from training.paper.fronts import Contestant, Fronts, contestants, one_list_of
from training.paper.run import FRONT_K
from training.paper.study import MIXES, UNION, Study, Variant
from training.paper.table import Mean
from training.paper.tables import OUR_FRONT
from training.paper.verdicts import best_union

MARKS = "osD^vP*X<>dph8"
# The union that was best on validation: one of many marks that look alike.
BEST = {"color": "red", "marker": "*", "markersize": 14, "fillstyle": "none", "linestyle": "none"}


def front_picture(study: Study, fronts: Fronts) -> bytes:
    """Fronts of one search: from the exposure model alone, and with those from scratch."""
    larger = {variant.name for variant in study.larger(fronts.findings.log)}
    drawn = [
        each
        for each in contestants(study, fronts.findings)
        if fronts.seeds(each) and len(each.parts) == 1
        if each.parts[0][0] not in larger and each.parts[0][1] != MERGED
    ]
    figure, best = Figure(figsize=(13, 6), layout="constrained"), _starred(study, fronts)
    variants = study.main(fronts.findings.log)
    first, second = fronts.findings.stages[-2:]
    for axes, wide in zip(figure.subplots(1, 2), (False, True), strict=True):
        for contestant in reversed(drawn):  # CSMF last, on top
            _draw_front(axes, fronts, contestant, _style(variants, contestant), wide=wide)
        if best is not None and (wide or "scratch" not in best):
            axes.plot(*fronts.mean_front(one_list_of(best)).T, **{**BEST, "label": f"{best}, best"})
        axes.set(xlabel=f"{first} recall@{FRONT_K}", ylabel=f"{second} recall@{FRONT_K}")
        axes.set_title("with methods from scratch" if wide else "from the exposure model")
        axes.grid(alpha=0.3)
    named = dict(zip(*figure.axes[1].get_legend_handles_labels()[::-1], strict=True))
    figure.legend([*named.values()][::-1], [*named][::-1], loc="outside right upper", fontsize=8)
    figure.suptitle(fronts.findings.log.title)
    return _png(figure)


def _starred(study: Study, fronts: Fronts) -> str | None:
    """The best-tuned union, if its front can be drawn."""
    best = best_union(study, fronts.findings)
    return best if best is not None and fronts.seeds(one_list_of(best)) else None


def _style(variants: Sequence[Variant], contestant: Contestant) -> Mapping[str, Any]:
    """One colour and mark a method; hollow and dashed from scratch."""
    variant = next(each for each in variants if each.name == contestant.parts[0][0])
    number = [*dict.fromkeys(each.method for each in variants)].index(variant.method)
    ours, apart = contestant == OUR_FRONT, variant.from_scratch
    return {
        "label": f"{UNION} retrained" if variant in MIXES else contestant.name,
        "color": "black" if ours else f"C{number % 10}",
        "marker": MARKS[number % len(MARKS)],
        "fillstyle": "none" if apart else "full",
        "linestyle": "--" if apart else "-",
        "linewidth": 2 if ours else 1,
        "markersize": 6 if ours else 5,
    }


def _draw_front(
    axes: Axes, fronts: Fronts, contestant: Contestant, style: Mapping[str, Any], *, wide: bool
) -> None:
    if wide or style["linestyle"] != "--":
        axes.plot(*fronts.mean_front(contestant).T, **style)


def curves(
    title: str,
    label: str,
    at: Sequence[float],
    lines: Mapping[str, Sequence[Mean | None]],
    *,
    marked: Mapping[float, str],
    mirrored: str = "",
) -> bytes:
    """Lines over one setting; `marked` are the paper's values, `mirrored` names 1 − x on top."""
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    for name, means in lines.items():
        run = [(x, mean) for x, mean in zip(at, means, strict=True) if mean is not None]
        axes.errorbar(
            [x for x, _ in run],
            [mean.value for _, mean in run],
            [mean.spread or 0.0 for _, mean in run],
            marker="o",
            capsize=3,
            label=name,
            linestyle="--" if "fused" in name else "-",
        )
    for (x, name), style in zip(marked.items(), (":", "-."), strict=False):
        axes.axvline(x, color="0.6", linestyle=style, label=name)
    if mirrored:
        axes.secondary_xaxis("top", functions=(_rest, _rest)).set_xlabel(mirrored)
    axes.set(xlabel=label, ylabel=f"recall@{FRONT_K}", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return _png(figure)


def _rest(shares: ArrayLike) -> Floats:
    return 1 - np.asarray(shares, float)


def _png(figure: Figure) -> bytes:
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110, metadata={"Software": None})
    return image.getvalue()
