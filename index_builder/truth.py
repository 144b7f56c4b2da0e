"""The exact best items of all users under all weightings, from one pass over the items.

Decisions
- A weighted score is the weighted sum of the stages' own scores (Eq. 8). Those are computed once,
  by one matrix product; each weighting then costs S multiplications an item, not M.
- Under neighbouring weights much the same items are best. So a user has one set of candidates, of
  all items that are among the best k under some weighting; the k-th best score so far, of each
  weighting, is what further items must beat. The set is sifted whenever it has doubled.
- Most items are passed over at a glance: where no stage's score reaches its floor, no weighted sum
  of them reaches what that weighting asks for. Floors are the k-th best scores of the stages alone,
  lowered together until that is so.
- Memory holds a block of scores, the candidates and the lists, whatever the number of items.
- They are found once, whichever codes and cells are tried on them.
- Which of several items with the k-th best score is in a list is left open: judge lists by score.

    truth = find_truth(users_BM, items_NM, weights_GS, segments, 1000, progress)

Dimension letters: B users, G weightings, S stages, K list, M vector dims, N items, n items of a
block, U candidates of a user.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.scoring import scale_query
from bundle.segments import Segments
from index_builder.progress import Progress

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
BLOCK = 8192  # items: a user's scores stay in the processor's cache, calls are few
ROUNDING = np.float32(1e-5)  # of a score: float32 sums in another order


@dataclass(frozen=True)
class Truth:
    """The exact best items of users under each weighting, best first."""

    weights_GS: NDArray[np.float64]
    queries_GBM: Floats
    rows_BGK: Rows
    scores_BGK: Floats


def find_truth(
    users_BM: Floats,
    items_NM: Floats,
    weights_GS: NDArray[np.float64],
    segments: Segments,
    k: int,
    progress: Progress,
) -> Truth:
    """Queries and their best min(k, N) items; `progress` counts items."""
    queries_GBM = np.stack([scale_query(users_BM, each_S, segments) for each_S in weights_GS])
    found = exact_lists(users_BM, items_NM, weights_GS, segments, k, progress)
    return Truth(weights_GS, queries_GBM, *found)


def exact_lists(
    users_BM: Floats,
    items_NM: Floats,
    weights_GS: NDArray[np.float64],
    segments: Segments,
    k: int,
    progress: Progress,
) -> tuple[Rows, Floats]:
    """Rows [B, G, K] and scores [B, G, K], best first; K is min(k, N). `progress` counts items."""
    k, wanted = min(k, len(items_NM)), len(weights_GS)
    alone_SS = np.eye(len(segments.names))
    alone_BSM = np.stack([scale_query(users_BM, alone_S, segments) for alone_S in alone_SS], axis=1)
    queries_QM = alone_BSM.reshape(-1, segments.dim)
    with_alone_GS = np.concatenate([weights_GS, alone_SS]).astype(np.float32)
    users = [_Candidates(with_alone_GS, k) for _ in users_BM]
    for start in range(0, len(items_NM), BLOCK):
        block_nM = np.ascontiguousarray(items_NM[start : start + BLOCK], np.float32)
        scores_BSn = (queries_QM @ block_nM.T).reshape(*alone_BSM.shape[:2], len(block_nM))
        for user, scores_Sn in zip(users, scores_BSn, strict=True):
            user.offer(start, scores_Sn)
        progress.advance(len(block_nM))
    rows_BGK = np.empty((len(users), wanted, k), np.int64)
    scores_BGK = np.empty(rows_BGK.shape, np.float32)
    for place, user in enumerate(users):
        rows_BGK[place], scores_BGK[place] = user.lists(wanted)
    return rows_BGK, scores_BGK


class _Candidates:
    """The items of one user that are among the best k under some weighting, so far.

    The last weightings are those of each stage alone.
    """

    def __init__(self, weights_GS: Floats, k: int) -> None:
        self._weights_GS, self._k = weights_GS, k
        self._limits_G1 = np.full((len(weights_GS), 1), -np.inf, np.float32)
        self._floors_S1 = self._limits_G1[-weights_GS.shape[1] :]
        self._rows: list[Rows] = []  # parts of [U]
        self._scores: list[Floats] = []  # and of the stages' own scores [S, U]
        self._held, self._full = 0, 2 * k

    def offer(self, start: int, scores_Sn: Floats) -> None:
        """Take what is good enough of a block of items, given each stage's own scores."""
        (maybe,) = np.logical_or.reduce(scores_Sn >= self._floors_S1).nonzero()
        scores_SP = scores_Sn.take(maybe, axis=1)
        good = np.logical_or.reduce(self._weights_GS @ scores_SP >= self._limits_G1)
        taken = maybe[good]
        self._rows.append(start + taken)
        self._scores.append(scores_SP[:, good])
        self._held += len(taken)
        if self._held > self._full:
            self._sift()

    def lists(self, wanted: int) -> tuple[Rows, Floats]:
        """The best k under the first weightings, best first: rows [G, K] and scores [G, K]."""
        rows_U, scores_GU = self._candidates()
        scores_GU = scores_GU[:wanted]
        best_GK = np.argpartition(-scores_GU, self._k - 1, axis=1)[:, : self._k]
        scores_GK = np.take_along_axis(scores_GU, best_GK, axis=1)
        order_GK = np.argsort(-scores_GK, axis=1)
        rows_GK = np.take_along_axis(rows_U[best_GK], order_GK, axis=1)
        return rows_GK, np.take_along_axis(scores_GK, order_GK, axis=1)

    def _sift(self) -> None:
        rows_U, scores_GU = self._candidates()
        self._limits_G1 = np.partition(scores_GU, -self._k, axis=1)[:, [-self._k]]
        good = np.flatnonzero((scores_GU >= self._limits_G1).any(axis=0))
        self._rows, self._scores = [rows_U[good]], [self._scores[0][:, good]]
        self._held, self._full = len(good), 2 * len(good)
        self._floors_S1 = self._floors()

    def _floors(self) -> Floats:
        """Scores [S, 1] of the stages; below all of them no item is good enough."""
        alone_S1 = self._limits_G1[-self._weights_GS.shape[1] :]
        above_G1 = self._weights_GS @ alone_S1 - self._limits_G1
        above = (above_G1 / self._weights_GS.sum(axis=1, keepdims=True)).max()
        floors_S1: Floats = alone_S1 - above - ROUNDING * np.abs(self._limits_G1).max()
        return floors_S1

    def _candidates(self) -> tuple[Rows, Floats]:
        """Rows [U], and weighted scores [G, U]."""
        self._rows, self._scores = (
            [np.concatenate(self._rows)],
            [np.concatenate(self._scores, axis=1)],
        )
        return self._rows[0], self._weights_GS @ self._scores[0]
