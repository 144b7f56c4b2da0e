"""The paper's claims beside what was found: reproduced, not reproduced, or not testable here.

Decisions
- A claim counts as reproduced if its direction is shown at 95 %; its size is given, not tested.
- What is said is computed from the same figures as the tables, so it cannot drift from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.evaluation.intervals import Difference
from training.paper.contender import ONE_WEIGHT, SWEPT
from training.paper.findings import Findings, Replicates
from training.paper.fronts import CORNER
from training.paper.gains import PAPER, STARTS, gains
from training.paper.run import OWN_LISTS, Found
from training.paper.study import Study
from training.paper.sweeps import PAPERS, trained
from training.paper.table import NOT_RUN, Mean, Row, Table, shown
from training.paper.tables import OURS, VIEWS
from training.paper.verdicts import FAILED, HELD, outcome

REPRODUCED, NOT_REPRODUCED, PARTLY = "reproduced", "not reproduced", "partly reproduced"
UNTESTABLE = "not testable here"
OVERHEAD, STORAGE = 0.349, 2.99
ITEMS = (
    "Table 2, recall@50",
    "Table 3, ablation",
    "Fig. 4, τ",
    "Fig. 5a, η",
    "Fig. 5b to d, weights",
    "Table 4, storage",
    "Training time",
    "Online test",
)
ABLATED = {
    "w/o AML": "the adaptive margin",
    "w/o accuracy recovery": "accuracy recovery",
    "w/o CPP (packnet)": "percentile pruning",
}


@dataclass(frozen=True)
class Statement:
    """On one item of the paper."""

    item: str
    log: str
    paper: str
    here: str
    verdict: str


def statements(study: Study, found: Findings) -> list[Statement]:
    """All that one log can answer."""
    made = [on_table_2(study, found)]
    if found.log.sweeps:
        made += [
            on_table_3(found),
            on_setting(found, "tau", "Fig. 4, τ"),
            on_setting(found, "eta", "Fig. 5a, η"),
            on_weights(found),
        ]
    return [*made, on_overhead(found)]


def on_table_2(study: Study, found: Findings) -> Statement:
    """CSMF is ahead of the best rival on both objectives."""
    said, held = [], []
    for scratch, start in STARTS.items():
        for view in VIEWS:
            made = gains(study, found, view, scratch=scratch)
            if len(made) < 2:
                continue
            result = outcome([each.lead for each in made.values()])
            listed = ", ".join(f"{stage} {each.share:+.1%}" for stage, each in made.items())
            said.append(f"{view} lists, rivals from {start}: {listed} ({result})")
            held += [(scratch, view)] if result == HELD else []
    verdict = NOT_REPRODUCED if said else NOT_RUN
    if held:
        verdict = "; ".join(f"{REPRODUCED} for {v} lists, rivals from {STARTS[s]}" for s, v in held)
    paper = ", ".join(f"{stage} {value} ({share:+.2%})" for stage, (value, share) in PAPER.items())
    return _statement("Table 2, recall@50", found, paper, said, verdict)


def on_table_3(found: Findings) -> Statement:
    """Each part of CSMF helps both objectives."""
    said, results = [], []
    for variant, part in ABLATED.items():
        leads = {
            f"{stage} {view}": lead
            for view, listed in VIEWS.items()
            for stage in found.stages[-2:]
            if (lead := _lead(found, OURS, variant, listed(stage), stage)) is not None
        }
        if not leads:
            continue
        helped = [name for name, lead in leads.items() if outcome([lead]) == HELD]
        hurt = [name for name, lead in leads.items() if outcome([lead]) == FAILED]
        results.append(bool(helped) and not hurt)
        said.append(f"{part} helps {_named(helped)}, hurts {_named(hurt)}")
    return _statement("Table 3, ablation", found, "every part helps", said, _of(results))


def on_setting(found: Findings, setting: str, item: str) -> Statement:
    """The paper's value of a trained setting is as good as any."""
    sweep, paper, said, results = trained(found, setting), PAPERS[setting], [], []
    form = {"tau": "tau {:.2f}", "eta": "eta {:.1f}"}[setting]
    for stage in found.stages[-2:]:
        line = f"{stage}, fused list"
        if not any(sweep.lines[line]):
            continue
        best = sweep.best(line)
        ours, theirs = form.format(paper), form.format(best)
        lead = _lead(found, ours, theirs, VIEWS["fused"](stage), stage)
        if lead is None:
            continue
        results.append(lead.high >= 0)
        said.append(f"{stage} best at {best:g}; at {paper:g} against that {shown(lead)}")
    return _statement(item, found, f"best at {paper:g}", said, _of(results))


def on_weights(found: Findings) -> Statement:
    """More weight on an objective finds more of it in the fused list."""
    said, results = [], []
    for stage in found.stages[-2:]:
        moves = {}
        for judged in found.stages[-2:]:
            ends = [
                found.recall(OURS, ONE_WEIGHT, f"{stage} {value:g}", judged)
                for value in (SWEPT[-1], SWEPT[0])
            ]
            if (moved := found.difference(*ends)) is not None:
                moves[judged] = moved
        if moves:
            results.append(outcome([moves[stage]]) == HELD)
            listed = ", ".join(f"{judged} {shown(moved)}" for judged, moved in moves.items())
            said.append(f"weight of {stage} from {SWEPT[0]:g} to {SWEPT[-1]:g}: {listed}")
    claim = "more weight, more of that objective"
    return _statement("Fig. 5b to d, weights", found, claim, said, _of(results))


def on_overhead(found: Findings) -> Statement:
    """Three stages cost little more than one."""
    said = [
        f"{ratio.value - 1:+.1%} over {name}"
        for name, ratio in overheads(found).items()
        if ratio is not None
    ]
    single = overheads(found)["its own first stage alone"]
    verdict = NOT_RUN
    if single is not None:
        verdict = REPRODUCED if single.value <= 1 + OVERHEAD else NOT_REPRODUCED
    return _statement("Training time", found, f"{OVERHEAD:+.1%}", said, verdict)


def overheads(found: Findings) -> Mapping[str, Mean | None]:
    """CSMF's seconds over others', by seed, in the same run of the study."""

    def first_stage(run: Found) -> float:
        return float(run.costs["phases"][0]["seconds"])

    ours, tuned = found.of(OURS), found.of(CORNER)
    single = [run.costs["seconds"] / first_stage(run) for run in ours.values()]
    both = ours.keys() & tuned.keys()
    apart = [ours[seed].costs["seconds"] / tuned[seed].costs["seconds"] for seed in sorted(both)]
    return {"its own first stage alone": Mean.of(single), CORNER: Mean.of(apart)}


def on_storage(costs: Sequence[Mapping[str, Any]]) -> Statement:
    """MVKE's vectors take about four times the room of one."""
    ratios = {each["name"]: each["bytes_ratio"] for each in costs}
    said = [f"{name} {ratio - 1:+.0%}" for name, ratio in ratios.items()]
    verdict = REPRODUCED if abs(ratios["MVKE"] - 1 - STORAGE) < 0.1 * STORAGE else NOT_REPRODUCED
    here = f"bytes of the index over one vector's: {', '.join(said)}"
    return Statement("Table 4, storage", "synthetic", f"MVKE {STORAGE:+.0%}", here, verdict)


def online() -> Statement:
    """What needs users."""
    paper, here = "+0.42 % RPM, +0.57 % CTR, +0.67 % CVR", "needs live traffic"
    return Statement("Online test", "", paper, here, UNTESTABLE)


def statement_table(made: Sequence[Statement]) -> Table:
    """One line each."""
    rows: list[Row] = [(each.item, each.log, each.paper, each.here, each.verdict) for each in made]
    return Table("statements", ("item", "log", "the paper", "here", "verdict"), {"": rows})


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


def _named(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"


def _statement(
    item: str, found: Findings, paper: str, said: Sequence[str], verdict: str
) -> Statement:
    return Statement(item, found.log.title, paper, "; ".join(said), verdict)
