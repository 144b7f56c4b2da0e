"""The paper's claims beside what was found: reproduced, not reproduced, or not testable here.

Decisions
- A claim counts as reproduced if its direction is shown at 95 %; its size is given, not tested.
- Seconds and bytes have no interval over users: a claim on them is reproduced if it holds a
  deviation between seeds away, or, measured once, within a hundredth.
- What is said is computed from the same figures as the tables, so it cannot drift from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from training.evaluation.intervals import Difference
from training.paper.contender import ONE_WEIGHT, SWEPT
from training.paper.findings import Findings, Replicates
from training.paper.gains import CASCADES, PAPER, STARTS, gains
from training.paper.run import OWN_LISTS, Found
from training.paper.study import CORNER, OURS, Kind, Study
from training.paper.sweeps import trained
from training.paper.table import NOT_RUN, Mean, shown
from training.paper.tables import VIEWS
from training.paper.verdicts import FAILED, HELD, NOISE, SHOWN, outcome

REPRODUCED, NOT_REPRODUCED, PARTLY = "reproduced", "not reproduced", "partly reproduced"
OVERHEAD, STORAGE, WEIGHTED = 0.349, 2.99, 1.0083
SINGLE = "its first objective alone"
WORDS = {NOISE: NOISE, FAILED: "behind on one at least"}
MARGIN = "the adaptive margin"  # of the plain cascade: `default` has none
ABLATED = {
    MARGIN: "w/o AML",
    "accuracy recovery": "w/o accuracy recovery",
    "percentile pruning": "w/o CPP (tau of units)",
}
# What is ablated, and how its ablations begin.
WHOLE = {each: "" if each == OURS else f"{each}, " for each in CASCADES}
EVERY_PART = "every part helps"


@dataclass(frozen=True)
class Setting:
    """A setting that the paper found best, and how a value of it is said."""

    item: str
    sweep: str
    best: float
    said: Callable[[float], str]


# The paper's τ is read both ways: pruned, as its algorithm is written, or retained.
SETTINGS = (
    Setting("Fig. 4, τ pruned", "tau", 0.75, lambda pruned: f"{pruned:g}"),
    Setting("Fig. 4, τ retained", "tau", 0.25, lambda pruned: f"{1 - pruned:g}"),
    Setting("Fig. 5a, η", "eta", 1.8, lambda eta: f"{eta:g}"),
)


@dataclass(frozen=True)
class Statement:
    """On one item of the paper: one of `claims.ITEMS`, and after a comma what of it."""

    item: str
    log: str
    paper: str
    here: str
    verdict: str


def statements(study: Study, found: Findings, kind: Kind) -> list[Statement]:
    """All that a part of one log can answer."""
    if kind == "ablations":
        return [on_table_3(found, whole) for whole in WHOLE]
    if kind == "sweeps":
        return [on_setting(found, each) for each in SETTINGS]
    cascades = [whole for whole in WHOLE if whole == OURS or found.of(whole)]
    return [
        *(
            on_table_2(study, found, whole, view, scratch=scratch)
            for scratch, whole, view in product(STARTS, cascades, VIEWS)
        ),
        *([on_weights(found)] if found.log.sweeps else []),
        *(on_overhead(found, whole) for whole in cascades),
    ]


def on_table_2(study: Study, found: Findings, whole: str, view: str, *, scratch: bool) -> Statement:
    """A cascade is ahead of the best rival on both objectives."""
    made = gains(study, found, view, scratch=scratch, ours=whole)
    said = [
        f"{stage} {each.ours.value:.4f}, {each.share:+.2%} over {each.rival}, the best of "
        f"{each.rivals} ({SHOWN[outcome([each.lead])]})"
        for stage, each in made.items()
    ]
    verdict = _verdict([each.lead for each in made.values()])
    paper = "; ".join(f"{stage} {value}, {share:+.2%}" for stage, (value, share) in PAPER.items())
    item = f"Table 2, {whole}, {view} lists{', rivals from scratch' if scratch else ''}"
    return _statement(item, found, paper, said, verdict if len(made) == 2 else NOT_RUN)


def on_table_3(found: Findings, whole: str) -> Statement:
    """Each part of CSMF helps both objectives, in lists of one kind at least."""
    said, results = [], []
    for part, ablated in ABLATED.items():
        if (whole, part) == (OURS, MARGIN):
            continue
        without = WHOLE[whole] + ablated
        leads = {
            f"{stage} {view}": lead
            for view, listed in VIEWS.items()
            for stage in found.stages[-2:]
            if (lead := _lead(found, whole, without, listed(stage), stage)) is not None
        }
        if not leads:
            continue
        helped = [name for name, lead in leads.items() if outcome([lead]) == HELD]
        hurt = [name for name, lead in leads.items() if outcome([lead]) == FAILED]
        both = [{f"{stage} {view}" for stage in found.stages[-2:]} <= {*helped} for view in VIEWS]
        results.append(any(both) and not hurt)
        effects = [("helps", helped), ("hurts", hurt)]
        shown_to = [f"{does} {', '.join(names)}" for does, names in effects if names]
        said.append(f"{part} {' and '.join(shown_to) or 'makes no difference that is shown'}")
    return _statement(f"Table 3, {whole}", found, EVERY_PART, said, _of(results))


def on_setting(found: Findings, setting: Setting) -> Statement:
    """The paper's value of a trained setting finds most, in the fused list."""
    sweep, said, results = trained(found, setting.sweep), [], []
    form = {"tau": "tau {:.2f}", "eta": "eta {:.1f}"}[setting.sweep]
    for stage in found.stages[-2:]:
        others = [value for value in sweep.values if value != setting.best]
        best = sweep.best(f"{stage}, fused list", among=others)
        if best is None:
            continue
        ours, theirs = form.format(setting.best), form.format(best)
        lead = _lead(found, ours, theirs, VIEWS["fused"](stage), stage)
        if lead is not None:
            results.append(lead)
            said.append(
                f"{stage}: against {setting.said(best)}, the best other, {shown(lead)}; all within "
                f"{sweep.width(f'{stage}, fused list'):.3f}"
            )
    return _statement(setting.item, found, best_at(setting), said, _verdict(results))


def best_at(setting: Setting) -> str:
    """The paper's claim of a setting."""
    return f"best at {setting.said(setting.best)}"


def on_weights(found: Findings) -> Statement:
    """More weight on an objective finds more of it in the fused list."""
    least, most = SWEPT[0], SWEPT[-1]
    moves = {}
    for stage in found.stages:
        ends = [
            found.recall(OURS, ONE_WEIGHT, f"{stage} {value:g}", stage) for value in (most, least)
        ]
        if (moved := found.difference(*ends)) is not None:
            moves[stage] = moved
    said = [f"{stage} {shown(moved)}" for stage, moved in moves.items()]
    results = [outcome([moved]) == HELD for moved in moves.values()]
    claim = f"a weight from {least:g} to {most:g} finds more of its objective"
    return _statement("Fig. 5b to d, weights k", found, claim, said, _of(results))


def on_overhead(found: Findings, whole: str) -> Statement:
    """Three stages cost little more than one."""
    ratios = overheads(found, whole)
    said = [f"{each.value:.2f} times {name}" for name, each in ratios.items() if each]
    recovery = found.mean(whole, _recovery_share)
    if recovery is not None:
        said.append(f"recovery is {recovery.value:.0%} of its seconds")
    single = ratios[SINGLE]
    verdict = NOT_RUN
    if single is not None:
        least, most = (single.value + sign * (single.spread or 0) for sign in (-1, 1))
        within = f"{NOT_REPRODUCED}: {NOISE}" if least <= 1 + OVERHEAD else NOT_REPRODUCED
        verdict = REPRODUCED if most <= 1 + OVERHEAD else within
    return _statement(f"Training time, {whole}", found, f"{1 + OVERHEAD} times", said, verdict)


def _recovery_share(run: Found) -> float:
    recovery = [each for each in run.costs["phases"] if each["phase"].endswith("recovery")]
    return float(sum(each["seconds"] for each in recovery) / run.costs["seconds"])


def overheads(found: Findings, whole: str) -> Mapping[str, Mean | None]:
    """A cascade's seconds over others', by seed, in the same run of the study."""

    def first_stage(run: Found) -> float:
        return float(run.costs["phases"][0]["seconds"])

    ours, tuned = found.of(whole), found.of(CORNER)
    single = [run.costs["seconds"] / first_stage(run) for run in ours.values()]
    both = ours.keys() & tuned.keys()
    apart = [ours[seed].costs["seconds"] / tuned[seed].costs["seconds"] for seed in sorted(both)]
    return {SINGLE: Mean.of(single), CORNER: Mean.of(apart)}


def on_layouts(measured: Mapping[str, Any]) -> list[Statement]:
    """MVKE's vectors take about four times the room of one; weights cost a search nothing."""
    by_name = {each["name"]: each for each in measured["layouts"]}
    vectors = measured.get("vectors", "synthetic")  # older tables have no others
    bytes_, time = by_name["MVKE"]["bytes_ratio"], by_name["CSMF"]["time_ratio"]
    near = abs(bytes_ - 1 - STORAGE) < 0.1 * STORAGE
    return [
        Statement(
            "Table 4, storage of MVKE",
            vectors,
            f"{STORAGE:+.0%} over one vector",
            f"{bytes_ - 1:+.0%}",
            REPRODUCED if near else NOT_REPRODUCED,
        ),
        Statement(
            "Table 4, a weighted search",
            vectors,
            f"{WEIGHTED} times an unweighted one",
            f"{time:.4f} times",
            REPRODUCED if time < WEIGHTED + 0.01 else NOT_REPRODUCED,
        ),
    ]


def _lead(found: Findings, ours: str, theirs: str, ranked: str, stage: str) -> Difference | None:
    recalls: list[Replicates] = [
        found.recall(each, OWN_LISTS, ranked, stage) for each in (ours, theirs)
    ]
    return found.difference(*recalls)


def _of(results: Sequence[bool]) -> str:
    """The verdict on a claim of several parts."""
    if not results:
        return NOT_RUN
    return REPRODUCED if all(results) else PARTLY if any(results) else NOT_REPRODUCED


def _verdict(leads: Sequence[Difference]) -> str:
    """The verdict on a claim that all of these are above zero."""
    if not leads:
        return NOT_RUN
    result = outcome(leads)
    return REPRODUCED if result == HELD else f"{NOT_REPRODUCED}: {WORDS[result]}"


def _statement(
    item: str, found: Findings, paper: str, said: Sequence[str], verdict: str
) -> Statement:
    return Statement(item, found.log.title, paper, "; ".join(said), verdict)
