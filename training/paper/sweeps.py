"""Figures 4 and 5 on one log: one setting of CSMF varied, the others held.

Decisions
- Fig. 4: variants trained with a pruned share τ each; read from the other end it is the share that
  is retained, so one set of runs answers both readings of the paper.
- Fig. 5a: variants trained with an η each. Fig. 5b to d: no training; the released index under one
  weight varied, the others at their defaults, always the fused list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.paper.contender import ONE_WEIGHT, SWEPT
from training.paper.figures import curves
from training.paper.findings import Findings, sample_mean
from training.paper.run import OWN_LISTS
from training.paper.study import ETAS, OURS, TAUS
from training.paper.table import Mean, Table
from training.paper.tables import VIEWS

THEIRS = "the paper's setting"
WEIGHT_OF = {"click": "k_o", "conversion": "k_r", "exposure": "k_d"}  # in the paper's order
# The paper's values; τ may be read as the share that is pruned, or that is kept.
PAPERS = {
    "tau": {0.75: "the paper's 0.75, read as pruned", 0.25: "… read as retained"},
    "eta": {1.8: THEIRS},
    "exposure": {1.0: THEIRS},
    "click": {1.8: THEIRS},
    "conversion": {1.2: THEIRS},
}


@dataclass(frozen=True)
class Sweep:
    """Recall of some lists at some values of a setting."""

    setting: str
    values: tuple[float, ...]
    lines: Mapping[str, Sequence[Mean | None]]

    @property
    def run(self) -> bool:
        """Whether any of it was."""
        return any(mean is not None for means in self.lines.values() for mean in means)

    def best(self, line: str, *, among: Sequence[float]) -> float | None:
        """The value with the highest recall of a line; None if none of them was run."""
        means = dict(zip(self.values, self.lines[line], strict=True))
        run = {value: mean.value for value in among if (mean := means[value]) is not None}
        return max(run, key=run.__getitem__, default=None)

    def width(self, line: str) -> float:
        """Between the highest and the lowest recall of a line."""
        run = [mean.value for mean in self.lines[line] if mean is not None]
        return max(run) - min(run)


def trained(found: Findings, setting: str) -> Sweep:
    """Fig. 4 or 5a: both lists of the last two objectives, by value."""
    values, form = (TAUS, "tau {:.2f}") if setting == "tau" else (ETAS, "eta {:.1f}")
    lines = {
        f"{stage}, {view} list": [
            sample_mean(found.recall(form.format(value), OWN_LISTS, listed(stage), stage))
            for value in values
        ]
        for stage in found.stages[-2:]
        for view, listed in VIEWS.items()
    }
    return Sweep(setting, values, lines)


def weighed(found: Findings, stage: str) -> Sweep:
    """Fig. 5b to d: the fused list under one weight varied."""
    lines = {
        f"{judged}, fused list": [
            sample_mean(found.recall(OURS, ONE_WEIGHT, f"{stage} {value:g}", judged))
            for value in SWEPT
        ]
        for judged in found.stages
    }
    return Sweep(stage, SWEPT, lines)


def sweep_table(found: Findings, sweep: Sweep) -> Table:
    """The numbers of a figure."""
    header = [symbol(sweep), *(["retained"] if sweep.setting == "tau" else []), *sweep.lines]
    rows = [
        (f"{value:g}", *([f"{1 - value:g}"] if sweep.setting == "tau" else []), *means)
        for value, *means in zip(sweep.values, *sweep.lines.values(), strict=True)
    ]
    return Table(f"{found.log.name}-{file_name(sweep)}", tuple(header), {"": rows})


def sweep_picture(found: Findings, sweep: Sweep) -> bytes:
    """The figure."""
    return curves(
        found.log.title,
        symbol(sweep),
        sweep.values,
        sweep.lines,
        marked=PAPERS.get(sweep.setting, {}),
        mirrored="retained share" if sweep.setting == "tau" else "",
    )


def symbol(sweep: Sweep) -> str:
    """The setting, as the paper writes it."""
    said = {"tau": "τ, pruned share of information", "eta": "η"} | {
        stage: f"{letter}, weight of {stage}s" for stage, letter in WEIGHT_OF.items()
    }
    return said.get(sweep.setting, f"weight of {sweep.setting}")


def figure(sweep: Sweep) -> str:
    """Its name in the paper."""
    names = {"tau": "Fig. 4", "eta": "Fig. 5a"} | dict(
        zip(WEIGHT_OF, ("Fig. 5b", "Fig. 5c", "Fig. 5d"), strict=True)
    )
    return f"{names.get(sweep.setting, 'Fig. 5')}: {symbol(sweep)}"


def file_name(sweep: Sweep) -> str:
    """Of its table and picture."""
    figure = {"tau": "fig4", "eta": "fig5a"}.get(sweep.setting, "fig5-weight")
    return f"{figure}-{re.sub('[^a-z]', '', sweep.setting)}"
