"""Whose fronts are held against each other, on which yardstick, and how much each holds.

Decisions
- Everybody's front is of lists among which an operator can choose without training: the weights of
  one index, the shares of two models joined (one search) or merged (two searches). Lists that were
  trained apart are pooled, as if somebody kept an index for each.
- Lists are chosen on validation, at most `LISTS` of them: those that add most to the hypervolume
  there. A longer front would gain on test by its luckiest lists.
- 0 is the exposure model's own list, 1 what the models fine-tuned for each objective reach at once,
  seed by seed, and the same in all replicates of an interval. Where fine-tuning does not beat the
  exposure model in every seed, on validation and on test, or the log has no exposures, 0 is no
  recall at all.

Dimension letters: L lists, O objectives, Q queries, X anything; 2 are the last two objectives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from training.errors import ConfigError
from training.evaluation.front import Yardstick, hypervolume, on_front
from training.evaluation.metrics import Floats
from training.paper.contender import JOINED, ONE_LIST, ONE_WEIGHT, WEIGHTS
from training.paper.findings import Findings, Replicates
from training.paper.run import FRONT_K, OWN_LISTS
from training.paper.study import CORNER, MIXES, UNION, Study

LISTS = 8
Part = tuple[str, str, bool]  # variant, front, whether of its lists only the first and the last


@dataclass(frozen=True)
class Contestant:
    """Lists to choose from, of one variant or of several."""

    name: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Lists:
    """Of one seed, or means over seeds."""

    validation_L2: Floats
    test_L2X: Floats


class Fronts:
    """Contestants and their hypervolumes on one log."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self._volumes: dict[str, Replicates] = {}

    def volumes(self, contestant: Contestant) -> Replicates:
        """Hypervolume by seed; empty where it or the yardstick has not been run."""
        if contestant.name not in self._volumes:
            lists = {seed: self.lists(contestant, seed) for seed in self.seeds(contestant)}
            self._volumes[contestant.name] = {
                seed: self._volume(each, seed) for seed, each in lists.items()
            }
        return self._volumes[contestant.name]

    def seeds(self, contestant: Contestant) -> list[int]:
        """Those that the yardstick and all parts that were run have."""
        run = [seeds for part in contestant.parts if (seeds := set(self.findings.of(part[0])))]
        return sorted(set(self.findings.of(CORNER)).intersection(*run)) if run else []

    def lists(self, contestant: Contestant, seed: int) -> Lists:
        """All lists of a contestant."""
        found = [self._part(part, seed) for part in contestant.parts if self.findings.of(part[0])]
        return Lists(
            np.concatenate([each.validation_L2 for each in found]),
            np.concatenate([each.test_L2X for each in found]),
        )

    def mean_front(self, contestant: Contestant) -> Floats:
        """[L, 2] test recall, mean over seeds, of the lists that are on the mean front."""
        seeds = [self.lists(contestant, seed) for seed in self.seeds(contestant)]
        kept_L = on_front(np.mean([each.validation_L2 for each in seeds], axis=0))
        test_L2 = np.mean([np.nanmean(each.test_L2X, axis=2) for each in seeds], axis=0)[kept_L]
        return np.asarray(test_L2[np.argsort(test_L2[:, 0])])

    @cached_property
    def from_exposure(self) -> bool:
        """Whether 0 is the exposure model's list rather than no recall."""
        try:
            for found in self.findings.of(CORNER).values():
                for metrics in (found.validation, found.metrics):
                    self._yardstick(metrics, from_exposure=True)
        except ConfigError:
            return False
        return len(self.findings.stages) > 2

    def _part(self, part: Part, seed: int) -> Lists:
        variant, name, ends = part
        front = self.findings.of(variant)[seed].fronts[name]
        rows = [0, -1] if ends else slice(None)
        return Lists(front.validation_LO[rows, -2:], front.test_LOQ[rows, -2:])

    def _volume(self, lists: Lists, seed: int) -> Floats:
        found = self.findings.of(CORNER)[seed]
        chosen_by = self._yardstick(found.validation, from_exposure=self.from_exposure)
        kept = thinned(chosen_by.scaled(lists.validation_L2), LISTS)
        means = [self.findings.means(lists.test_L2X[kept, objective]) for objective in range(2)]
        yardstick = self._yardstick(found.metrics, from_exposure=self.from_exposure)
        return hypervolume(yardstick.scaled(np.stack(means, axis=-1)))

    def _yardstick(self, metrics: Mapping[str, Any], *, from_exposure: bool) -> Yardstick:
        stages = self.findings.stages
        first, second = stages[-2:]
        start = f"{stages[0]} list"
        corner = (
            recall(metrics, f"{first} list", first),
            recall(metrics, f"{second} list", second),
        )
        zero = (recall(metrics, start, first), recall(metrics, start, second))
        return Yardstick(zero if from_exposure else (0.0, 0.0), corner)


def thinned(points_L2: Floats, limit: int) -> list[int]:
    """Rows that make the largest hypervolume, added one by one while they add to it."""
    kept: list[int] = []
    volume = 0.0
    while len(kept) < limit:
        tried = np.array([[*kept, row] for row in range(len(points_L2))])
        volumes_L = hypervolume(points_L2[tried])
        best = int(volumes_L.argmax())
        if volumes_L[best] <= volume:
            break
        kept.append(best)
        volume = float(volumes_L[best])
    return kept


def front_of(variant: str) -> Contestant:
    """All weights of one index."""
    return Contestant(variant, ((variant, WEIGHTS, False),))


def one_list_of(variant: str) -> Contestant:
    """The one list of one vector."""
    return Contestant(variant, ((variant, ONE_LIST, False),))


def contestants(study: Study, findings: Findings) -> list[Contestant]:
    """CSMF first; every front of every method of the main table that was run; the pools."""
    each, alone = [], []
    for variant in study.main(findings.log):
        found = next(iter(findings.of(variant.name).values()), None)
        fronts = [] if found is None else [*found.fronts]
        names = [name for name in fronts if name not in (OWN_LISTS, ONE_WEIGHT)]
        for name in names:
            title = variant.name if len(names) == 1 else f"{variant.name} ({name})"
            each.append(Contestant(title, ((variant.name, name, False),)))
        if ONE_LIST in names:
            alone.append((variant.name, ONE_LIST, False))
        if JOINED in names:  # its ends are each model alone
            alone.append((variant.name, JOINED, True))
    unions = (UNION, *(variant.name for variant in MIXES))
    mixes = [name for name in unions if findings.of(name)]
    pools = [
        Contestant(
            f"{UNION} retrained, {len(mixes)} of {len(unions)} pooled",
            tuple((name, ONE_LIST, False) for name in mixes),
        ),
        Contestant(f"all retrained lists of {len(alone)} variants pooled", tuple(alone)),
    ]
    return each + pools


def recall(metrics: Mapping[str, Any], ranked: str, stage: str) -> float:
    """Of one list for one objective, over all positives."""
    return float(metrics[ranked][stage]["all"][f"recall@{FRONT_K}"]["macro"])
