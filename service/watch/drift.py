"""Where live users lie among the users that the index was calibrated with.

Decisions
- The calibration users of an index (real users of the log it was built from) are cut into ten equal
  parts by a signal, and a live user falls into one of these tenths. While nothing changes each
  tenth gets a tenth; what share each gets is counted, and judged where counts of all workers over
  hours come together (deploy/prometheus/alerts.yml).
- Signals: `norm`, the length of the user's vector, which tells missing or changed features; and per
  stage `score:<stage>`, the mean of its own scores over the first DEPTH items of the list, which
  tells a changed mix of objectives. Scores depend on the weights, so calibration users are searched
  for under the same weights, once for each; weights that came with a request are left out, as are
  filtered and shorter lists.
- Among equal values a user's tenth is drawn, so that a signal that is the same for everybody drifts
  no less evenly than any other.

Dimension letters: C calibration users, K retrieved, M vector dims, S stages.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from bundle.scoring import objective_scores, scale_query
from bundle.weights import ObjectiveWeights
from service.snapshots.snapshot import Snapshot
from service.watch.sample import Sample

DEPTH = 10
FEWEST = 100  # calibration users: fewer say nothing about tenths
MOST = 500  # of them are searched for under new weights
KEPT = 200  # weights
EQUAL = 1e-4  # of the largest value: no difference
Floats = NDArray[np.float32]
Rest = Callable[[], None]


class Drift:
    """Tenths of the users of one index; those of an earlier one are forgotten."""

    def __init__(self) -> None:
        self._index = ""
        self._norms_C: Floats = np.empty(0, np.float32)
        self._scores_SC: dict[ObjectiveWeights, Floats] = {}

    def tenths(self, sample: Sample, rest: Rest) -> Iterator[tuple[str, int]]:
        """(signal, tenth from 1 to 10) of a list's user, as far as they can be said."""
        users_CM = sample.snapshot.files.calibration_users_CM
        if len(users_CM) < FEWEST:
            return
        self._follow(sample.snapshot)
        vector_1M = sample.found.user.vector_1M
        yield "norm", tenth(float(np.linalg.norm(vector_1M)), self._norms_C)
        rows_K = sample.found.search.rows_K[:DEPTH]
        if sample.whose == "request" or sample.query.filter or len(rows_K) < DEPTH:
            return
        weights = sample.query.weights
        if weights not in self._scores_SC:
            self._remember(weights, _scores_under(weights, sample.snapshot, rest))
        mine_S = _mean_scores(sample.snapshot, vector_1M, rows_K)
        for stage, mine, all_C in zip(
            weights.stages, mine_S.tolist(), self._scores_SC[weights], strict=True
        ):
            yield f"score:{stage}", tenth(mine, all_C)

    def _follow(self, snapshot: Snapshot) -> None:
        if snapshot.current.index_sha256 != self._index:
            self._index = snapshot.current.index_sha256
            self._norms_C = np.sort(np.linalg.norm(snapshot.files.calibration_users_CM, axis=1))
            self._scores_SC.clear()

    def _remember(self, weights: ObjectiveWeights, scores_SC: Floats) -> None:
        while len(self._scores_SC) >= KEPT:
            del self._scores_SC[next(iter(self._scores_SC))]
        self._scores_SC[weights] = scores_SC


def tenth(value: float, sorted_C: Floats) -> int:
    """The tenth of sorted values that a value falls into; drawn among those it equals."""
    margin = EQUAL * float(np.abs(sorted_C).max())
    low = int(np.searchsorted(sorted_C, value - margin, "left"))
    high = int(np.searchsorted(sorted_C, value + margin, "right"))
    place = random.uniform(low, high + 1) / (len(sorted_C) + 1)  # noqa: S311  (no secret)
    return min(10, 1 + int(10 * place))


def _scores_under(weights: ObjectiveWeights, snapshot: Snapshot, rest: Rest) -> Floats:
    """Per stage, the sorted mean scores [S, C] of calibration users' lists under these weights."""
    all_CM = snapshot.files.calibration_users_CM
    places = np.unique(np.linspace(0, len(all_CM) - 1, MOST).astype(int))
    weights_S, nobody = weights.as_array(), np.empty(0, np.int64)
    means = []
    for place in places:
        user_1M = np.asarray(all_CM[place : place + 1])
        query_M = scale_query(user_1M, weights_S, snapshot.segments)[0]
        found = snapshot.index.search(query_M, weights_S, DEPTH, nobody)
        means.append(_mean_scores(snapshot, user_1M, found.rows_K))
        rest()
    return np.sort(np.stack(means, axis=1), axis=1)


def _mean_scores(snapshot: Snapshot, user_1M: Floats, rows_K: NDArray[np.int64]) -> Floats:
    """Each stage's own score [S], the mean over a list."""
    items_1KM = snapshot.index.vectors_of(rows_K)[None]
    means_S: Floats = objective_scores(user_1M, items_1KM, snapshot.segments).mean(axis=(1, 2))
    return means_S
