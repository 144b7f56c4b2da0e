"""All that was found on one log, and how sure a difference between two variants is.

    found = read_findings(study, work, log)
    found.difference(found.recall("csmf", "lists", "fused", "click"), …)

Decisions
- Variants are held against each other seed by seed, on the seeds that both have, over the same
  draws of users (`training.evaluation.intervals`). What a seed has are replicates: the sample, then
  the draws. Sums, products and hypervolumes are taken per replicate, so whatever is computed from
  recall has an interval.
- What has not been run is missing from every mapping; nothing stands in for it.

Dimension letters: O objectives, Q queries, R replicates, S seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from training.errors import ConfigError
from training.evaluation.intervals import REPLICATES, Difference, Draws
from training.evaluation.metrics import Floats
from training.paper.run import Found, judged_file, load_found
from training.paper.study import Study, StudyLog
from training.paper.table import Mean

Replicates = Mapping[int, Floats]  # seed → [R]


class Findings:
    """The runs of one log, by variant and seed."""

    def __init__(self, log: StudyLog, runs: Mapping[str, Mapping[int, Found]]) -> None:
        self.log, self.runs = log, runs
        self._draws: dict[int, Draws] = {}
        self._recalls: dict[tuple[str, str, str, str], Replicates] = {}

    @cached_property
    def _any(self) -> Found:
        return next(found for seeds in self.runs.values() for found in seeds.values())

    @property
    def stages(self) -> tuple[str, ...]:
        """Of the log's cascade."""
        return tuple(self._any.objectives)

    def counts(self, stage: str, part: str = "all") -> Mapping[str, int]:
        """Requests and positives that were judged."""
        counts: Mapping[str, int] = self._any.objectives[stage]["slices"][part]
        return counts

    def of(self, variant: str) -> Mapping[int, Found]:
        """Found by seed."""
        return self.runs.get(variant, {})

    def mean(self, variant: str, pick: Callable[[Found], float | None]) -> Mean | None:
        """Of one figure over seeds."""
        picked = (pick(found) for found in self.of(variant).values())
        return Mean.of([each for each in picked if each is not None])

    def recall(self, variant: str, front: str, label: str, stage: str) -> Replicates:
        """Recall@50 of one list for one objective, on test."""
        key = (variant, front, label, stage)
        if key not in self._recalls:
            objective = self.stages.index(stage)
            self._recalls[key] = {
                seed: self.means(judged.test_LOQ[[judged.labels.index(label)], objective])[:, 0]
                for seed, found in self.of(variant).items()
                if (judged := found.fronts.get(front)) and label in judged.labels
            }
        return self._recalls[key]

    def means(self, recall_LQ: Floats) -> Floats:
        """[R, L] of lists that were asked this log's questions."""
        return self.draws(1).means(recall_LQ)

    def draws(self, seeds: int) -> Draws:
        """The same users for any number of seeds."""
        if seeds not in self._draws:
            self._draws[seeds] = Draws.of(self._any.user_Q, seeds, REPLICATES)
        return self._draws[seeds]

    def difference(self, ours: Replicates, theirs: Replicates) -> Difference | None:
        """Ours minus theirs on the seeds that both have; None if there are none."""
        pair = shared(ours, theirs)
        if not pair[0]:
            return None
        ours_RS, theirs_RS = (np.stack([*each.values()], axis=1) for each in pair)
        return self.draws(len(pair[0])).difference(ours_RS, theirs_RS)


def shared(ours: Replicates, theirs: Replicates) -> tuple[Replicates, Replicates]:
    """Both on the seeds that both have, in one order."""
    seeds = sorted(ours.keys() & theirs.keys())
    return {seed: ours[seed] for seed in seeds}, {seed: theirs[seed] for seed in seeds}


def sample_mean(replicates: Replicates) -> Mean | None:
    """Over seeds, of the sample itself."""
    return Mean.of([float(each_R[0]) for each_R in replicates.values()])


def read_findings(study: Study, work: Path, log: StudyLog) -> Findings | None:
    """What has been judged so far; None if nothing has. Raises ConfigError on mixed questions."""
    runs: dict[str, dict[int, Found]] = {}
    asked: Found | None = None
    for variant, seed in study.runs(log):
        file = judged_file(work / log.name, variant, seed)
        if not file.exists():
            continue
        found = load_found(file)
        asked = asked or found
        if not np.array_equal(found.user_Q, asked.user_Q):
            raise ConfigError(
                f"{file}: expected the questions that the log's other runs were asked; it was "
                "judged on another log or with other settings: delete it and run it again"
            )
        runs.setdefault(variant.name, {})[seed] = found
    return Findings(log, runs) if runs else None
