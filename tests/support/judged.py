"""What judged runs would have found, for lists of known recall: nothing is trained.

All lists answer the same queries, and a query is answered by every list that is good enough for it,
so a better list is better in each pair, as for methods that start from one exposure model.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from training.evaluation.questions import SLICES
from training.paper.contender import JOINED, MERGED, ONE_LIST, ONE_WEIGHT, SWEPT, WEIGHTS
from training.paper.run import OWN_LISTS, Found, FoundFront, judged_file, save_found
from training.paper.study import Study, StudyLog, Variant

QUERIES, USERS = 400, 100
Levels = Sequence[float]  # recall per stage
METRICS = [f"{name}@{k}" for name in ("recall", "ndcg") for k in (50, 100, 500)]
SEPARATE = ("full-ft", "lora", "bitfit", "youtubednn-sep", "dmmp")
SINGLE = ("youtubednn-mix", "moppr", "dmtl", "mvke")


def found(variant: Variant, stages: Sequence[str], level: float, seed: int = 0) -> Found:
    """A run whose list for an objective finds `level` of it, and 0.1 less of the others."""
    own = {f"{stage} list": [level - 0.1 * (stage != each) for each in stages] for stage in stages}
    middle = [level - 0.05] * len(stages)
    lists = own | {"fused": middle}
    ends = {"first": own[f"{stages[-2]} list"], "": middle, "last": own[f"{stages[-1]} list"]}
    if variant.method in SINGLE:
        lists = {"fused": middle}
        fronts: dict[str, Mapping[str, Levels]] = {ONE_LIST: {"": middle}}
    elif variant.method in SEPARATE:
        fronts = {JOINED: ends, MERGED: ends}
    else:
        swept = {f"{stage} {value:g}": middle for stage in stages for value in SWEPT}
        fronts = {WEIGHTS: ends, ONE_WEIGHT: swept}
    return Found(
        metrics=(metrics := _metrics(lists, stages)),
        validation=metrics,
        objectives={stage: _summary() for stage in stages},
        costs=_costs(len(stages) if variant.method in SEPARATE else 1),
        user_Q=np.arange(QUERIES) % USERS,
        fronts={
            name: front(levels, seed) for name, levels in ({OWN_LISTS: lists} | fronts).items()
        },
        made=f"2026-11-2{1 + seed}, commit abc, 2 cores of some",
    )


def front(levels: Mapping[str, Levels], seed: int = 0) -> FoundFront:
    """Lists of known recall; on validation exactly, on test over the queries."""
    hard_Q = np.random.default_rng(seed).permutation(QUERIES) / QUERIES
    level_LO = np.array([*levels.values()])
    return FoundFront(tuple(levels), level_LO, (level_LO[:, :, None] > hard_Q).astype(np.float64))


def write_study(study: Study, log: StudyLog, work: Path, levels: Mapping[str, float]) -> None:
    """Judged files of all runs of a log; variants that `levels` does not name find 0.5."""
    stages = ("click", "conversion") if log.raw else ("exposure", "click", "conversion")
    for variant, seed in study.runs(log):
        level = levels.get(variant.name, 0.5)
        save_found(judged_file(work / log.name, variant, seed), found(variant, stages, level, seed))


def _metrics(lists: Mapping[str, Levels], stages: Sequence[str]) -> dict:
    return {
        name: {
            stage: {
                part: {metric: {"macro": level, "micro": level / 2} for metric in METRICS}
                for part in SLICES
            }
            for stage, level in zip(stages, levels, strict=True)
        }
        for name, levels in lists.items()
    }


def _summary() -> dict:
    count = {"requests": QUERIES, "positives": QUERIES}
    return {**count, "item_coverage": 1.0, "slices": dict.fromkeys(SLICES, count)}


def _costs(models: int) -> dict:
    phases = [("exposure", 10.0), ("exposure recovery", 2.0), ("click", 3.0)]
    return {
        "dims": [64] * models,
        "parameters": 1000 * models,
        "trained_parameters": 1000,
        "examples": 5000,
        "phases": [
            {"phase": name, "trainable": 100, "seconds": seconds} for name, seconds in phases
        ],
        "seconds": 15.0,
    }
