"""The effort map: per weight direction and list length, the fewest cells that reach the target.

Recall is the share of a list whose true score is at least that of the k-th item of the exact list
(less rounding), averaged over users; so ties are fair, and the order of ids means nothing.

The effort need not be searched for. An item is reached once the search visits its cell, so its
depth is the rank of its cell for that query; the smallest effort with recall r is the r-quantile
of the depths of the exact top k. It aims a little above the target, since the next users are not
these.

An item that is reached may still be lost to the rounding of codes. So under each direction a sample
of the lists is searched for at that effort, and what the searches kept of what they reached is
counted over all directions: it is a matter of the codes more than of who asks. Recall is the share
reached times the share kept, and so codes that keep less are given more cells.

At SHARES of that effort, which a service under pressure may use, recall is the share of depths that
are still reached, times what the codes left of it at the full effort: nothing is searched again.

Effort is capped: beyond `max_effort` of the cells an inverted file is no longer worth its name.
A list no longer than 500 that misses the target there fails the build; a longer one visits all.

Dimension letters: B users, K list, C cells, M vector dims, N items, G directions, S stages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.effort import EffortMap, EffortPoint, reduced_cells
from bundle.segments import Segments
from index_builder.cells import InvertedFile
from index_builder.errors import BelowTargetError
from index_builder.truth import Truth

Floats = NDArray[np.float32]
Shares = NDArray[np.float64]
LIST_LENGTHS = (50, 100, 500, 1000)
PROMISED_LENGTH = 500  # lists up to here must reach the target within max_effort
AIM = 0.2  # recall aims at this share fewer misses than the target allows
SHARES = (0.7, 0.5, 0.35)
ROUNDING = 1e-5  # of a query's largest score: float32 sums in another order
SAMPLE = 16  # users whose lists are searched for, others under each direction


@dataclass(frozen=True)
class Lists:
    """Queries of one direction, their exact scores, best first, and the depths of those items."""

    queries_BM: Floats
    scores_BK: Floats
    depths_BK: NDArray[np.int64]

    def reached(self, k: int, cells: int) -> Shares:
        """Share of the best k that an effort reaches, for each effort from none to all cells."""
        depths_BK = self.depths_BK[:, :k]
        shares_C: Shares = np.bincount(depths_BK.ravel(), minlength=cells + 1) / depths_BK.size
        return np.cumsum(shares_C)

    def some(self, first: int, k: int) -> Lists:
        """The best k of SAMPLE users, who are at equal distances from the first on."""
        step = max(1, len(self.queries_BM) // SAMPLE)
        chosen = slice(first % step, None, step)
        return Lists(
            self.queries_BM[chosen], self.scores_BK[chosen, :k], self.depths_BK[chosen, :k]
        )


@dataclass(frozen=True)
class Target:
    """What the index must reach: mean recall, and the largest share of cells to visit for it."""

    recall: float
    max_effort: float

    @property
    def aim(self) -> float:
        """The recall to calibrate for, so that other users find the target."""
        return self.recall + AIM * (1 - self.recall)


@dataclass(frozen=True)
class Calibrated:
    """The effort map, and the least share of what lists of up to 500 reach that codes keep."""

    effort: EffortMap
    kept: float


def calibrate(inverted: InvertedFile, items_NM: Floats, truth: Truth, target: Target) -> Calibrated:
    """Measure every direction; whether it is good enough says `require_target`."""
    lengths = list_lengths(len(items_NM))
    directions = [
        Lists(queries_BM, truth.scores_BGK[:, turn], _depths(inverted, queries_BM, rows_BK))
        for turn, (queries_BM, rows_BK) in enumerate(
            zip(truth.queries_GBM, truth.rows_BGK.swapaxes(0, 1), strict=True)
        )
    ]
    columns = [_measure(inverted, items_NM, directions, k, target) for k in lengths]
    points = [
        EffortPoint(
            weights=weights_S.tolist(),
            nprobe=[each.cells for each in efforts],
            recall=[each.recall for each in efforts],
            reduced=[list(recalls) for recalls in zip(*(e.reduced for e in efforts), strict=True)],
        )
        for weights_S, *efforts in zip(truth.weights_GS, *columns, strict=True)
    ]
    effort = EffortMap(
        target_recall=target.recall,
        cells=inverted.cells,
        k=lengths,
        shares=list(SHARES),
        points=points,
    )
    promised = [column[0].kept for column, k in zip(columns, lengths, strict=True) if _promised(k)]
    return Calibrated(effort, min(promised, default=1.0))


def list_lengths(items: int) -> list[int]:
    """The measured list lengths that the catalogue can fill."""
    return sorted({min(length, items) for length in LIST_LENGTHS})


def recall_by_score(
    found_BK: NDArray[np.int64], scores_BK: Floats, queries_BM: Floats, items_NM: Floats
) -> float:
    """Mean share of `found` rows that score no less than the last exact score of their query.

    `scores_BK` are the exact best scores, best first; a row of -1 (nothing found) is a miss.
    """
    shares = []
    for found_K, scores_K, query_M in zip(found_BK, scores_BK, queries_BM, strict=True):
        vectors_KM = items_NM[found_K[found_K >= 0]]
        limit = scores_K[-1] - ROUNDING * np.abs(scores_K).max()
        shares.append(np.count_nonzero(vectors_KM @ query_M >= limit) / len(scores_K))
    return float(np.mean(shares))


@dataclass(frozen=True)
class _Effort:
    """Cells to visit for one direction and list length, the recall there and at SHARES of them."""

    cells: int
    recall: float
    reduced: list[float]
    kept: float  # of what is reached, whatever the direction


def _measure(
    inverted: InvertedFile,
    items_NM: Floats,
    directions: Sequence[Lists],
    k: int,
    target: Target,
) -> list[_Effort]:
    """The effort of each direction for lists of k."""
    cells = inverted.cells
    cap = max(1, math.floor(cells * target.max_effort))
    reached_GC = [lists.reached(k, cells) for lists in directions]
    first_G = [min(cap, _least(reached_C, target.aim)) for reached_C in reached_GC]
    samples = [lists.some(turn, k) for turn, lists in enumerate(directions)]
    kept = _kept(inverted, items_NM, samples, first_G)
    # Where codes lose so much that the aim is out of reach: half-way from the target to all.
    share = min(target.aim / kept, (1 + target.recall / kept) / 2)
    efforts = []
    for reached_C in reached_GC:
        effort = _least(reached_C, share)
        if effort > cap:
            enough = _promised(k) or kept * reached_C[cap] >= target.recall
            effort = cap if enough else cells
        recall_C = kept * reached_C
        reduced = [float(recall_C[reduced_cells(effort, share)]) for share in SHARES]
        efforts.append(_Effort(effort, float(recall_C[effort]), reduced, kept))
    return efforts


def _least(reached_C: Shares, share: float) -> int:
    """The least effort that reaches such a share; all cells, where none does."""
    return min(max(1, int(np.searchsorted(reached_C, share))), len(reached_C) - 1)


def _kept(
    inverted: InvertedFile, items_NM: Floats, samples: Sequence[Lists], efforts: Sequence[int]
) -> float:
    """Of the items that these efforts reach, the share that searches find."""
    reached, found = 0.0, 0.0
    for lists, effort in zip(samples, efforts, strict=True):
        asks_B, k = lists.queries_BM.any(axis=1), lists.scores_BK.shape[1]
        if not asks_B.any():
            continue  # to a query of zeros all items are equal
        queries_BM = lists.queries_BM[asks_B]
        found_BK = inverted.search(queries_BM, k, effort)
        found += recall_by_score(found_BK, lists.scores_BK[asks_B], queries_BM, items_NM)
        reached += float(np.mean(lists.depths_BK[asks_B] <= effort))
    return min(1.0, found / reached) if found else 1.0


def _depths(
    inverted: InvertedFile, queries_BM: Floats, rows_BK: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many cells a search visits until it meets each item [B, K]: 1 for the first cell."""
    order_BC = np.argsort(-(queries_BM @ inverted.means_CM.T), axis=1)
    ranks_BC = np.empty_like(order_BC)
    np.put_along_axis(ranks_BC, order_BC, np.arange(order_BC.shape[1])[None, :], axis=1)
    cells_BK = inverted.cells_N[rows_BK].astype(np.int64)
    depths_BK: NDArray[np.int64] = np.take_along_axis(ranks_BC, cells_BK, axis=1) + 1
    depths_BK[~queries_BM.any(axis=1)] = 1  # a query of zeros ranks nothing: any list will do
    return depths_BK


def _promised(k: int) -> bool:
    """Whether lists of this length must reach the target within the largest effort."""
    return k <= PROMISED_LENGTH


def _worst(effort: EffortMap) -> tuple[float, int, EffortPoint]:
    """The least recall of promised lengths, with the length and the point."""
    promised = [column for column, k in enumerate(effort.k) if _promised(k)]
    found = (
        (point.recall[column], effort.k[column], point)
        for point in effort.points
        for column in promised
    )
    return min(found, key=lambda each: each[0])


def reaches(effort: EffortMap, target: Target) -> bool:
    """Whether all promised lengths reach the target."""
    return _worst(effort)[0] >= target.recall


def require_target(effort: EffortMap, target: Target, segments: Segments) -> None:
    """Refuse a map whose promised lengths miss the target. Raises BelowTargetError."""
    if not reaches(effort, target):
        recall, k, point = _worst(effort)
        weights = dict(zip(segments.names, np.round(point.weights, 3).tolist(), strict=True))
        raise BelowTargetError(
            f"recall {recall:.4f} at k={k} for weights {weights}, visiting "
            f"{target.max_effort:.0%} of {effort.cells} cells, is below the target "
            f"{target.recall:g}; nothing was written. Accept a slower search with a larger "
            f"--max-effort, a lower --target-recall, codes that lose nothing with --codes fp16, or "
            f"scan exactly with --exact-below above the number of items"
        )
