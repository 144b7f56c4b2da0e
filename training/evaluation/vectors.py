"""The vectors of one bundle for given requests, and the lists they rank.

    towers = TwoTowers.of(read_bundle(directory))
    (vectors,) = embed(towers, later, questions.request_rows_Q)
    ranked_QK = vectors.rank(weights, k)

Decisions
- What is judged is what will be served: ONNX towers, Eq. 8 as one inner product, exact search over
  the whole catalogue.
- A fused score is a mean of the stages' scores, so an item that k others beat on every stage is in
  no list of k. `finds` scores what is left under a whole grid of weights at once, and asks only
  whether the positives are there. It agrees with `rank` to the last tie, but for rounding.
- Two models joined are one model with a segment each, twice the index and one search. Where they
  share their items, the sum of their user vectors scores the same over the one index.

Dimension letters: Q queries, B of them, N items, C candidates, M vector dims, S stages, K ranks,
P positives, L lists (weights).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.schema import FeatureSchema
from bundle.scoring import Floats, exact_top_k, scale_query
from bundle.segments import Segments
from bundle.store import Bundle
from bundle.towers import Tower, open_item_tower, open_user_tower
from bundle.weights import ObjectiveWeights
from training.encoding import encode_items, encode_requests
from training.evaluation.metrics import Marks, Relevant, Rows
from training.logs.reader import Log

EMBED_ROWS, SEARCH_ROWS = 1024, 256
LOOK_SCORES = 2**20  # of one stage, in memory at once while `finds` looks


@dataclass(frozen=True)
class TwoTowers:
    """What a bundle brings to the trial."""

    schema: FeatureSchema
    user: Tower
    item: Tower
    segments: Segments

    @classmethod
    def of(cls, bundle: Bundle) -> TwoTowers:
        """Open the towers of a verified bundle."""
        return cls(bundle.schema, open_user_tower(bundle), open_item_tower(bundle), bundle.segments)


@dataclass(frozen=True)
class Vectors:
    """Users of some requests and the whole catalogue."""

    segments: Segments
    users_QM: Floats
    items_NM: Floats

    def rank(self, weights: ObjectiveWeights, k: int) -> Rows:
        """[Q, K] item rows of the lists fused with `weights`, best first; K is min(k, N)."""
        queries_QM = scale_query(self.users_QM, weights.as_array(), self.segments)
        lists = [
            exact_top_k(queries_QM[start : start + SEARCH_ROWS], self.items_NM, k)[0]
            for start in range(0, len(queries_QM), SEARCH_ROWS)
        ]
        return np.concatenate(lists or [np.empty((0, min(k, len(self.items_NM))), np.int64)])

    def finds(
        self, settings: Sequence[ObjectiveWeights], k: int, wanted: Sequence[Relevant]
    ) -> list[Marks]:
        """Per set of positives, [L, P] True for those among the first k of each fused list."""
        weights_LS = np.stack([weights.as_array() for weights in settings]).astype(np.float32)
        found = [np.zeros((len(settings), len(each.query_P)), np.bool_) for each in wanted]
        starts = [
            np.searchsorted(each.query_P, np.arange(len(self.users_QM) + 1)) for each in wanted
        ]
        for query, scores_SN in enumerate(self._stage_scores()):
            rows_C = _contenders(scores_SN, k)
            best = _Best.of(weights_LS @ scores_SN[:, rows_C], k)
            for relevant, found_LP, start_Q in zip(wanted, found, starts, strict=True):
                here = slice(*start_Q[query : query + 2])
                item_P = relevant.item_P[here]
                place_P = np.minimum(np.searchsorted(rows_C, item_P), len(rows_C) - 1)
                found_LP[:, here] = best.has(place_P) & (rows_C[place_P] == item_P)
        return found

    def _stage_scores(self) -> Iterator[Floats]:
        """Per query, [S, N] each stage's own score of every item."""
        rows = max(1, LOOK_SCORES // len(self.items_NM))
        for start in range(0, len(self.users_QM), rows):
            users_BM = self.users_QM[start : start + rows]
            parts = [users_BM[:, part] @ self.items_NM[:, part].T for part in self.segments.slices]
            yield from np.stack([*accumulate(parts, np.add)], axis=1)


def embed(towers: TwoTowers, log: Log, *request_rows: Rows) -> tuple[Vectors, ...]:
    """Vectors for each set of request rows of the log; the catalogue is embedded once."""
    items_NM = _embed(towers.item, encode_items(log, towers.schema).arrays)
    return tuple(
        Vectors(
            towers.segments,
            _embed(towers.user, encode_requests(log, towers.schema, rows).arrays),
            items_NM,
        )
        for rows in request_rows
    )


def alone_weights(stage: str, stages: Sequence[str]) -> ObjectiveWeights:
    """The weights under which the served score is one stage's own."""
    return ObjectiveWeights.parse({each: float(each == stage) for each in stages}, stages)


def join(models: Sequence[Vectors]) -> Vectors:
    """Several models as the segments of one, so that Eq. 8 weighs them: with scales that never
    increase, what counts most comes first."""
    if any(len(model.segments.names) > 1 for model in models):
        raise ValueError("join: expected models of one segment each")
    names = tuple(name for model in models for name in model.segments.names)
    sizes = tuple(size for model in models for size in model.segments.sizes)
    users_QM = np.concatenate([model.users_QM for model in models], axis=1)
    items_NM = np.concatenate([model.items_NM for model in models], axis=1)
    return Vectors(Segments(names, sizes), users_QM, items_NM)


def _contenders(scores_SN: Floats, k: int) -> Rows:
    """Items that can be among the first k under some weights.

    Others are beaten, on every stage, by all of the k best under equal weights.
    """
    if scores_SN.shape[1] <= k:
        return np.arange(scores_SN.shape[1])
    sum_N = np.add.reduce(scores_SN, axis=0)
    best_K = np.flatnonzero(sum_N >= np.partition(sum_N, -k)[-k])
    least_S1 = scores_SN[:, best_K].min(axis=1, keepdims=True)
    return np.flatnonzero(np.logical_or.reduce(scores_SN >= least_S1, axis=0))


@dataclass(frozen=True)
class _Best:
    """The first k of some candidates, under several weights; ties go to the lower row."""

    scores_LC: Floats
    k: int
    worst_L1: Floats  # the k-th score

    @classmethod
    def of(cls, scores_LC: Floats, k: int) -> _Best:
        kth = max(scores_LC.shape[1] - k, 0)
        return cls(scores_LC, k, np.partition(scores_LC, kth, axis=1)[:, kth : kth + 1])

    def has(self, place_P: Rows) -> Marks:
        """[L, P] whether each candidate is among them."""
        scores_LP = self.scores_LC[:, place_P]
        inside_LP: Marks = scores_LP >= self.worst_L1
        for row, column in np.argwhere(scores_LP == self.worst_L1):
            scores_C, place = self.scores_LC[row], place_P[column]
            better = np.count_nonzero(scores_C > scores_C[place])
            before = np.count_nonzero(scores_C[:place] == scores_C[place])
            inside_LP[row, column] = better + before < self.k
        return inside_LP


def _embed(tower: Tower, arrays: Mapping[str, NDArray[Any]]) -> Floats:
    rows = len(next(iter(arrays.values())))
    parts = [
        tower.embed({name: each[start : start + EMBED_ROWS] for name, each in arrays.items()})
        for start in range(0, max(rows, 1), EMBED_ROWS)
    ]
    return np.concatenate(parts)
