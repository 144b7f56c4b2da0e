"""The effort map: per weight direction and list length, the fewest cells that reach the target.

Recall is the share of a list whose true score is at least that of the k-th item of the exact list
(less rounding), averaged over users; so ties are fair, and the order of ids means nothing.

The effort need not be searched for. An item is found once the search visits its cell, so its depth
is the rank of its cell for that query, and the smallest effort with recall r is the r-quantile of
the depths of the exact top k. The quantile aims a little above the target, since the next users are
not these; then the index itself is searched at that effort, which also counts what fp16 codes lose,
and the effort grows until the measured recall is at the target.

At SHARES of that effort, which a service under pressure may use, recall is the share of depths that
are still reached, times what the codes left of it at the full effort: nothing is searched again.

Effort is capped: beyond `max_effort` of the cells an inverted file is no longer worth its name.
A list no longer than 500 that misses the target there fails the build; a longer one visits all.

Dimension letters: B users, K list, C cells, M vector dims, N items, G directions, S stages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.effort import EffortMap, EffortPoint, reduced_cells
from bundle.scoring import exact_top_k, scale_query
from bundle.segments import Segments
from index_builder.cells import InvertedFile, visiting
from index_builder.errors import BelowTargetError
from index_builder.progress import Progress

Floats = NDArray[np.float32]
LIST_LENGTHS = (50, 100, 500, 1000)
PROMISED_LENGTH = 500  # lists up to here must reach the target within max_effort
AIM = 0.15  # the quantile aims at this share fewer misses than the target allows
SHARES = (0.7, 0.5, 0.35)
GROWTH = 1.15  # of the effort, when the measured recall is short of the target
ROUNDING = 1e-5  # of a query's largest score: float32 sums in another order
USERS_BLOCK = 256  # queries per exact scan: bounds memory


@dataclass(frozen=True)
class Target:
    """What the index must reach: mean recall, and the largest share of cells to visit for it."""

    recall: float
    max_effort: float


def calibrate(
    inverted: InvertedFile,
    items_NM: Floats,
    users_BM: Floats,
    directions_GS: NDArray[np.float64],
    segments: Segments,
    target: Target,
    progress: Progress,
) -> EffortMap:
    """Measure every direction; `progress` counts directions. Raises BelowTargetError."""
    lengths = list_lengths(len(items_NM))
    points = []
    for weights_S in directions_GS:
        queries_BM = scale_query(users_BM, weights_S, segments)
        points.append(_measure(inverted, items_NM, queries_BM, weights_S, lengths, target))
        progress.advance(1)
    effort = EffortMap(
        target_recall=target.recall,
        cells=inverted.faiss_index.nlist,
        k=lengths,
        shares=list(SHARES),
        points=points,
    )
    _require_target(effort, target, segments)
    return effort


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


def _measure(
    inverted: InvertedFile,
    items_NM: Floats,
    queries_BM: Floats,
    weights_S: NDArray[np.float64],
    lengths: list[int],
    target: Target,
) -> EffortPoint:
    rows_BK, scores_BK = exact_in_blocks(queries_BM, items_NM, lengths[-1])
    depths_BK = _depths(inverted, queries_BM, rows_BK)
    efforts, recalls = [], []
    for length in lengths:
        aim = target.recall + AIM * (1 - target.recall)
        first = int(np.quantile(depths_BK[:, :length], aim, method="inverted_cdf"))
        effort, recall = _settle(
            inverted, items_NM, queries_BM, scores_BK[:, :length], first, target
        )
        efforts.append(effort)
        recalls.append(recall)
    reduced = [
        [
            recall * _reached(depths_BK[:, :length], effort, share)
            for length, effort, recall in zip(lengths, efforts, recalls, strict=True)
        ]
        for share in SHARES
    ]
    return EffortPoint(weights=weights_S.tolist(), nprobe=efforts, recall=recalls, reduced=reduced)


def _reached(depths_BK: NDArray[np.int64], effort: int, share: float) -> float:
    """Of the items that an effort reaches, how many a share of it does."""
    reached = np.count_nonzero(depths_BK <= reduced_cells(effort, share))
    return float(reached / np.count_nonzero(depths_BK <= effort))


def _settle(
    inverted: InvertedFile,
    items_NM: Floats,
    queries_BM: Floats,
    scores_BK: Floats,
    effort: int,
    target: Target,
) -> tuple[int, float]:
    """Search at `effort`, more if it falls short; the effort and the recall measured there."""
    cells = inverted.faiss_index.nlist
    cap = max(1, math.floor(cells * target.max_effort))
    effort = min(effort, cap)
    while True:
        recall = _measured_recall(inverted, items_NM, queries_BM, scores_BK, effort)
        if recall >= target.recall or effort == cells:
            return effort, recall
        if effort == cap:
            if scores_BK.shape[1] <= PROMISED_LENGTH:
                return effort, recall
            effort = cells
        else:
            effort = min(cap, math.ceil(effort * GROWTH))


def _measured_recall(
    inverted: InvertedFile,
    items_NM: Floats,
    queries_BM: Floats,
    scores_BK: Floats,
    effort: int,
) -> float:
    _, found_BK = inverted.faiss_index.search(
        queries_BM, scores_BK.shape[1], params=visiting(effort)
    )
    return recall_by_score(found_BK, scores_BK, queries_BM, items_NM)


def exact_in_blocks(
    queries_BM: Floats, items_NM: Floats, k: int
) -> tuple[NDArray[np.int64], Floats]:
    """`exact_top_k` over blocks of queries, so that scores of all users never exist at once."""
    parts = [
        exact_top_k(queries_BM[start : start + USERS_BLOCK], items_NM, k)
        for start in range(0, len(queries_BM), USERS_BLOCK)
    ]
    return np.concatenate([rows for rows, _ in parts]), np.concatenate(
        [scores for _, scores in parts]
    )


def _depths(
    inverted: InvertedFile, queries_BM: Floats, rows_BK: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many cells a search visits until it meets each item [B, K]: 1 for the first cell."""
    order_BC = np.argsort(-(queries_BM @ inverted.means_CM.T), axis=1, kind="stable")
    ranks_BC = np.empty_like(order_BC)
    np.put_along_axis(ranks_BC, order_BC, np.arange(order_BC.shape[1])[None, :], axis=1)
    cells_BK = inverted.cells_N[rows_BK].astype(np.int64)
    depths_BK: NDArray[np.int64] = np.take_along_axis(ranks_BC, cells_BK, axis=1) + 1
    depths_BK[~queries_BM.any(axis=1)] = 1  # a query of zeros ranks nothing: any list will do
    return depths_BK


def _require_target(effort: EffortMap, target: Target, segments: Segments) -> None:
    promised = [column for column, k in enumerate(effort.k) if k <= PROMISED_LENGTH]
    recall, k, point = min(
        (
            (point.recall[column], effort.k[column], point)
            for point in effort.points
            for column in promised
        ),
        key=lambda found: found[0],
    )
    if recall < target.recall:
        weights = dict(zip(segments.names, np.round(point.weights, 3).tolist(), strict=True))
        raise BelowTargetError(
            f"recall {recall:.4f} at k={k} for weights {weights}, visiting "
            f"{target.max_effort:.0%} of {effort.cells} cells, is below the target "
            f"{target.recall:g}; nothing was written. Accept a slower search with a larger "
            f"--max-effort, a lower --target-recall, or scan exactly with --exact-below above the "
            f"number of items"
        )
