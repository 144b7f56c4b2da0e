"""The vectors of one bundle for given requests, and the lists they rank.

    towers = TwoTowers.of(read_bundle(directory))
    (vectors,) = embed(towers, later, questions.request_rows_Q)
    ranked_QK = vectors.rank(weights, k)

Decisions
- What is judged is what will be served: ONNX towers, Eq. 8 as one inner product, exact search over
  the whole catalogue.
- Whether a positive is among the first k can be told from the k-th score alone, without sorting:
  `finds` does so, for grids of many weights. It is `rank` to the last tie, but for rounding.
- Two models fused are one model of the joined vectors, with twice the index and one search.

Dimension letters: Q queries, N items, M vector dims, K ranks, P positives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.features import FeatureSchema
from bundle.scoring import Floats, exact_top_k, scale_query
from bundle.segments import Segments
from bundle.store import Bundle
from bundle.towers import Tower, open_item_tower, open_user_tower
from bundle.weights import ObjectiveWeights
from training.encoding import encode_items, encode_requests
from training.evaluation.metrics import Marks, Relevant, Rows
from training.logs.reader import Log

EMBED_ROWS, SEARCH_ROWS = 1024, 256
LOOK_ROWS, LOOK_SCORES = 16, 2**21  # of `finds`: a block stays in cache where it can


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

    def finds(self, weights: ObjectiveWeights, k: int, wanted: Sequence[Relevant]) -> list[Marks]:
        """Per set of positives, [P] True for those among the first k of the fused lists."""
        queries_QM = scale_query(self.users_QM, weights.as_array(), self.segments)
        found = [np.zeros(len(relevant.query_P), np.bool_) for relevant in wanted]
        rows = max(LOOK_ROWS, LOOK_SCORES // len(self.items_NM))
        for start in range(0, len(queries_QM), rows):
            scores_QN = queries_QM[start : start + rows] @ self.items_NM.T
            worst_Q = _kth_score(scores_QN, k)
            for relevant, found_P in zip(wanted, found, strict=True):
                here = slice(*np.searchsorted(relevant.query_P, (start, start + len(scores_QN))))
                query_P, item_P = relevant.query_P[here] - start, relevant.item_P[here]
                found_P[here] = scores_QN[query_P, item_P] >= worst_Q[query_P]
                for place in np.flatnonzero(scores_QN[query_P, item_P] == worst_Q[query_P]):
                    found_P[here.start + place] = _first_of_ties(
                        scores_QN[query_P[place]], int(item_P[place]), k
                    )
        return found


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


FUSED = alone_weights("fused", ["fused"])  # of what `fuse` makes


def fuse(parts: Sequence[tuple[Vectors, ObjectiveWeights]], factors: Sequence[float]) -> Vectors:
    """Several models as one: its score is the sum of theirs, each times its factor."""
    users_QM = np.concatenate(
        [
            np.float32(factor) * scale_query(part.users_QM, weights.as_array(), part.segments)
            for (part, weights), factor in zip(parts, factors, strict=True)
        ],
        axis=1,
    )
    items_NM = np.concatenate([part.items_NM for part, _ in parts], axis=1)
    return Vectors(Segments(FUSED.stages, (items_NM.shape[1],)), users_QM, items_NM)


def _kth_score(scores_QN: Floats, k: int) -> Floats:
    """[Q] the k-th largest score, or the least where there are fewer than k."""
    kth = max(scores_QN.shape[1] - k, 0)
    worst_Q: Floats = np.partition(scores_QN, kth, axis=1)[:, kth]
    return worst_Q


def _first_of_ties(scores_N: Floats, item: int, k: int) -> bool:
    """Whether an item is among the first k, ties going to the lower row."""
    before = (scores_N > scores_N[item]).sum() + (scores_N[:item] == scores_N[item]).sum()
    return bool(before < k)


def _embed(tower: Tower, arrays: Mapping[str, NDArray[Any]]) -> Floats:
    rows = len(next(iter(arrays.values())))
    parts = [
        tower.embed({name: each[start : start + EMBED_ROWS] for name, each in arrays.items()})
        for start in range(0, max(rows, 1), EMBED_ROWS)
    ]
    return np.concatenate(parts)
