"""Table 2's claim: a cascade over the best rival, objective by objective.

Decisions
- Two cascades are asked: the plain one has the paper's parts, `csmf` is our preset, with parts that
  the paper lacks.
- The best rival is the best on test, as in the paper's table: that flatters rivals, by what the
  best of several gains from luck. Both are then shown over the seeds that both have.
- Rivals are the paper's and the three ways to fine-tune, all of the plain cascade's size; of `csmf`
  the larger and the taught ones, too. In own lists those that have one for each objective: lists
  that serve all objectives at once are rivals of the fused one.
- Rivals from the exposure model and from scratch are asked apart. Of the latter the unions and
  `youtubednn-sep` never see an exposure; the others are trained on all stages at once: what is only
  ahead of them shows what pre-training is worth, not what the cascade is worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from training.evaluation.intervals import Difference
from training.paper.findings import Findings, sample_mean, shared
from training.paper.run import OWN_LISTS
from training.paper.study import FROM_SCRATCH, OURS, PLAIN, Study
from training.paper.study import scratch as from_scratch
from training.paper.table import Cell, Mean, Row, Table
from training.paper.tables import VIEWS

PAPER = {"click": (0.3177, 0.0661), "conversion": (0.3694, 0.0751)}  # recall@50, gain
OURS_TOO = (OURS, "joint")  # methods of ours; the plain cascade is one of csmf
CASCADES = (PLAIN.name, OURS)  # the paper's parts, and our preset
STARTS = {False: "the exposure model", True: "scratch"}  # by whether it is from scratch


@dataclass(frozen=True)
class Gain:
    """A cascade over the best rival for one objective."""

    rival: str
    rivals: int  # it is the best of so many
    theirs: Mean
    ours: Mean
    lead: Difference

    @property
    def share(self) -> float:
        """Relative."""
        return self.lead.estimate / self.theirs.value


def gains(
    study: Study, found: Findings, view: str, *, scratch: bool, ours: str = OURS
) -> Mapping[str, Gain]:
    """Over the best rival with that start, by objective; without those that have not been run."""
    rivals = [
        variant.name
        for variant in study.main(found.log)
        if variant.method not in OURS_TOO and variant.from_scratch == scratch
        if ours == OURS or variant not in (*study.larger(found.log), *study.taught)
    ]
    made = {
        stage: _gain(found, ours, rivals, VIEWS[view](stage), stage) for stage in found.stages[-2:]
    }
    return {stage: each for stage, each in made.items() if each is not None}


def worth_of_pretraining(found: Findings) -> str:
    """What each method gains by starting from the exposure model, its own lists on both sides."""
    said = []
    for method in FROM_SCRATCH:
        gained = []
        for stage in found.stages[-2:]:
            started, apart = (
                sample_mean(found.recall(name, OWN_LISTS, VIEWS["own"](stage), stage))
                for name in (method, from_scratch(method).name)
            )
            if started and apart:
                gained.append(f"{stage} {started.value / apart.value - 1:+.1%}")
        if gained:
            said.append(f"{method} {', '.join(gained)}")
    if not said:
        return ""
    return (
        "What methods gain by starting from the exposure model over being trained on all stages at "
        f"once, own lists: {'; '.join(said)}."
    )


def _gain(found: Findings, cascade: str, rivals: list[str], ranked: str, stage: str) -> Gain | None:
    recalls = {name: found.recall(name, OWN_LISTS, ranked, stage) for name in rivals}
    means = {name: mean for name, each in recalls.items() if (mean := sample_mean(each))}
    if not means:
        return None
    best = max(means, key=lambda name: means[name].value)
    ours, theirs = shared(found.recall(cascade, OWN_LISTS, ranked, stage), recalls[best])
    lead, level, mine = found.difference(ours, theirs), sample_mean(theirs), sample_mean(ours)
    return Gain(best, len(means), level, mine, lead) if lead and level and mine else None


def gain_table(study: Study, found: Findings) -> Table:
    """Both cascades, views and starts, beside the paper's gain."""
    groups: dict[str, list[Row]] = {}
    for (scratch, start), ours in product(STARTS.items(), CASCADES):
        rows = groups.setdefault(f"{ours}, rivals from {start}", [])
        for view in VIEWS:
            made = gains(study, found, view, scratch=scratch, ours=ours)
            for stage in found.stages[-2:]:
                paper = f"{PAPER[stage][1]:+.2%}" if stage in PAPER else ""
                rows.append((f"{stage}, {view} list", *_cells(made.get(stage)), paper))
    header = ("list", "best rival", "its recall@50", "ours", "gain", "our lead", "paper's gain")
    return Table(f"{found.log.name}-table2-gain", header, groups)


def _cells(gain: Gain | None) -> tuple[Cell, ...]:
    if gain is None:
        return (None,) * 5
    return (gain.rival, gain.theirs, gain.ours, f"{gain.share:+.2%}", gain.lead)
