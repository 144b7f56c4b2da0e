"""Whether CSMF wins on one log: three goals, each held or not.

    1 its front holds more than every rival's, all retrained lists pooled, and two models joined
    2 at some weights the fused list is ahead of the best-tuned union of the last two objectives'
      positives (youtubednn-mix), on both objectives
    3 the list for each objective is within 2 % of every model fine-tuned for it

Decisions
- A goal holds if the data show it (p ≤ 0.05), does not hold if they show the opposite, and is
  within noise otherwise. A goal of several parts holds if every part does, so nothing needs
  correcting for the number of tests. One part that fails is enough to fail it; of so many, one
  would by chance, so there p counts times the number of parts (Bonferroni).
- Weights and the best-tuned union are chosen on validation, by means over seeds: the union by the
  largest product of both recalls, as all settings are; the weights by the smaller relative gain
  over it, since they are to be ahead on both.

Dimension letters: L lists, S seeds; 2 are the last two objectives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from training.evaluation.intervals import Difference
from training.evaluation.metrics import Floats
from training.paper.contender import ONE_LIST, WEIGHTS
from training.paper.findings import Findings, Replicates, sample_mean, shared
from training.paper.fronts import Contestant, Fronts, contestants, front_of
from training.paper.run import OWN_LISTS
from training.paper.study import CORNER, OURS, PLAIN, TAUGHT_MIX, UNION, Study
from training.paper.table import NOT_RUN, Row, Table, shown
from training.paper.tables import OUR_FRONT, own

HELD, NOISE, FAILED = "held", "within noise", "not held"
SHOWN = {HELD: "shown", NOISE: "not shown", FAILED: "the opposite is shown"}
FINE_TUNED = (CORNER, "lora", "bitfit")
WITHIN = 0.02
SIGNIFICANT = 0.05
NAMED = 6  # of many fronts; the table has all


@dataclass(frozen=True)
class Verdict:
    """On one goal."""

    goal: str
    outcome: str
    sentence: str
    parts: Mapping[str, Difference]


def verdicts(study: Study, fronts: Fronts) -> list[Verdict]:
    """On the three goals."""
    return [
        larger_front(study, fronts),
        ahead_on_both(study, fronts.findings),
        near_the_fine_tuned(study, fronts.findings),
    ]


def larger_front(study: Study, fronts: Fronts) -> Verdict:
    """Goal 1."""
    ours = fronts.volumes(OUR_FRONT)
    mine = (OUR_FRONT, front_of(PLAIN.name))
    rivals = [each for each in contestants(study, fronts.findings) if each not in mine]
    leads = {
        each.name: lead
        for each in rivals
        if (lead := fronts.findings.difference(ours, fronts.volumes(each))) is not None
    }
    of = {
        key: [name for name, lead in leads.items() if outcome([lead]) == key]
        for key in (HELD, NOISE, FAILED)
    }
    said = {
        f"larger than that of {len(of[HELD])} of {len(leads)} fronts": of[HELD],
        f"not told apart from {_named(of[NOISE])}": of[NOISE],
        f"smaller than {_named(of[FAILED])}": of[FAILED],
    }
    sentence = f"CSMF's hypervolume is {', '.join(text for text, names in said.items() if names)}."
    if empty := [each.name for each in rivals if _holds_nothing(fronts, each)]:
        sentence += f" {len(empty)} of them hold nothing."
    missing = [
        each.name for each in study.main(fronts.findings.log) if not fronts.findings.of(each.name)
    ]
    if missing:
        sentence += f" Not run: {_named(missing)}."
    return _verdict("1 the largest front", leads, sentence)


def _holds_nothing(fronts: Fronts, contestant: Contestant) -> bool:
    volume = sample_mean(fronts.volumes(contestant))
    return volume is not None and volume.value == 0


def ahead_on_both(study: Study, found: Findings) -> Verdict:
    """Goal 2, and beside it what is left of the lead over a union that was taught as CSMF is."""
    best, goal = best_union(study, found), "2 ahead of the best-tuned union on both"
    if best is None or not found.of(OURS):
        return _verdict(goal, {}, "")
    leads, sentence = _best_lead(found, best)
    if found.of(TAUGHT_MIX.name):
        sentence += f" Not part of the goal: {_best_lead(found, TAUGHT_MIX.name)[1]}"
    return _verdict(goal, leads, sentence)


def best_union(study: Study, found: Findings) -> str | None:
    """The union with the largest product of both recalls on validation.

    Over the seeds that all of them and CSMF have; None without any.
    """
    unions = [
        variant.name
        for variant in study.main(found.log)
        if variant.method == UNION and variant != TAUGHT_MIX and found.of(variant.name)
    ]
    seeds = set(found.of(OURS)).intersection(*map(found.of, unions))
    recalls = {
        name: _on_validation(found, name, ONE_LIST, seeds)[0].prod() for name in unions if seeds
    }
    return max(recalls, key=recalls.__getitem__, default=None)


def _best_lead(found: Findings, union: str) -> tuple[dict[str, Difference], str]:
    """Over a union, at the weights that gain most in the objective in which they gain least."""
    seeds = found.of(union).keys() & found.of(OURS).keys()
    theirs_2 = _on_validation(found, union, ONE_LIST, seeds)[0]
    gains_L = (_on_validation(found, OURS, WEIGHTS, seeds) / theirs_2).min(axis=1)
    weights = next(iter(found.of(OURS).values())).fronts[WEIGHTS].labels[int(gains_L.argmax())]
    leads, said = {}, []
    for stage in found.stages[-2:]:
        ours, theirs = shared(
            found.recall(OURS, WEIGHTS, weights, stage),
            found.recall(union, ONE_LIST, "", stage),
        )
        lead = found.difference(ours, theirs)
        if lead is not None:
            leads[stage] = lead
            said.append(
                f"{stage} {shown(sample_mean(ours))} against {shown(sample_mean(theirs))}, "
                f"{shown(lead)}"
            )
    return leads, f"Weights {weights} against {union}: {'; '.join(said)}."


def near_the_fine_tuned(study: Study, found: Findings) -> Verdict:
    """Goal 3. Before the last two objectives all models of a size are one: the exposure model."""
    parts, said = dict[str, Difference](), []
    larger = tuple(each.name for each in study.larger(found.log) if each.method == CORNER)
    for place, stage in enumerate(found.stages):
        tuned = FINE_TUNED if place >= len(found.stages) - 2 else (CORNER,)
        ours = found.recall(OURS, OWN_LISTS, own(stage), stage)
        models = {
            name: found.recall(name, OWN_LISTS, own(stage), stage) for name in (*tuned, *larger)
        }
        levels = {name: level for name, each in models.items() if (level := sample_mean(each))}
        allowed = {
            f"{stage}, {name}": part
            for name in levels
            if (part := found.difference(ours, _allowed(models[name]))) is not None
        }
        if not allowed:
            continue
        parts |= allowed
        best = max(levels, key=lambda name: levels[name].value)
        lead = found.difference(ours, models[best])
        share = lead.estimate / levels[best].value if lead else 0.0
        within = SHOWN[outcome([*allowed.values()])]
        said.append(f"{stage} {share:+.1%} over {best} ({within})")
    sentence = (
        f"Within {WITHIN:.0%} of every model fine-tuned for the objective; given is the lead over "
        f"the best: {', '.join(said)}."
    )
    return _verdict(f"3 each objective's list within {WITHIN:.0%}", parts, sentence)


def _allowed(recalls: Replicates) -> Replicates:
    return {seed: (1 - WITHIN) * each_R for seed, each_R in recalls.items()}


def verdict_table(found: Findings, given: Sequence[Verdict]) -> Table:
    """Every comparison behind the verdicts."""
    rows: dict[str, list[Row]] = {
        each.goal: [(name, lead, outcome([lead])) for name, lead in each.parts.items()]
        for each in given
    }
    return Table(f"{found.log.name}-verdicts", ("against or objective", "lead", "outcome"), rows)


def outcome(parts: Sequence[Difference]) -> str:
    """Of a goal that asks for all parts to be above zero."""
    if any(part.estimate < 0 and part.p * len(parts) <= SIGNIFICANT for part in parts):
        return FAILED
    shown = [part.estimate > 0 and part.p <= SIGNIFICANT for part in parts]
    return HELD if all(shown) else NOISE


def _verdict(goal: str, parts: Mapping[str, Difference], sentence: str) -> Verdict:
    if not parts:
        return Verdict(goal, NOT_RUN, "", parts)
    return Verdict(goal, outcome([*parts.values()]), sentence, parts)


def _on_validation(found: Findings, variant: str, front: str, seeds: Set[int]) -> Floats:
    """[L, 2] recall of a front's lists, mean over these seeds."""
    each = [found.of(variant)[seed].fronts[front].validation_LO[:, -2:] for seed in sorted(seeds)]
    return np.asarray(np.mean(each, axis=0))


def _named(names: Sequence[str]) -> str:
    said = [*names[:NAMED], *([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])]
    return f"{len(names)} ({'; '.join(said)})" if names else "none"
