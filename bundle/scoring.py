"""Weighted scoring of segmented vectors (Eq. 8), and exact search: everybody's oracle.

Dimension letters: B users, N items, K retrieved, M vector dims, S stages.

The score of stage t reads the prefix of the vector that ends with its own segment
(Sec. 4.2: s_d = e_d·v_d, s_o = s_d + e_o·v_o, …), so with weights k the served score is

    s = Σ_t k_t·s_t = Σ_t (Σ_{u≥t} k_u)·(e_t·v_t)                                        (Eq. 8)

which is ONE inner product between items and a user vector whose segments are scaled by the suffix
sums of k. The items never change; `w` and `c·w` (c > 0) rank alike.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bundle.segments import Segments

Floats = NDArray[np.float32]
REMEMBERED = 1024  # weights
SCAN_ROWS = 65_536  # items per block of an exact scan: bounds memory, keeps the block in cache


def segment_scales(weights_S: NDArray[np.float64]) -> NDArray[np.float64]:
    """Suffix sums of the weights, [S] → [S]: `(k_d+k_o+k_r, k_o+k_r, k_r)` in Eq. 8."""
    return np.cumsum(weights_S[::-1])[::-1]


def scale_query(users_BM: Floats, weights_S: NDArray[np.float64], segments: Segments) -> Floats:
    """Scale each segment of the user vectors by its suffix sum (Eq. 8); [B, M] → [B, M] float32."""
    return users_BM * _scales(np.asarray(weights_S, np.float64).tobytes(), segments.sizes)


@lru_cache(REMEMBERED)
def _scales(weights: bytes, sizes: tuple[int, ...]) -> Floats:
    """Of every dim, [M]; few weights are in force, and many users ask under each of them."""
    scales_M = np.repeat(segment_scales(np.frombuffer(weights)), sizes).astype(np.float32)
    scales_M.flags.writeable = False
    return scales_M


def objective_scores(users_BM: Floats, items_BKM: Floats, segments: Segments) -> Floats:
    """Each stage's own score s_t of the given candidates; [B, M], [B, K, M] → [S, B, K]."""
    parts = [
        np.einsum("bm,bkm->bk", users_BM[:, part], items_BKM[:, :, part])
        for part in segments.slices
    ]
    return np.cumsum(np.stack(parts), axis=0, dtype=np.float32)


def exact_top_k(queries_BM: Floats, items_NM: Floats, k: int) -> tuple[NDArray[np.int64], Floats]:
    """The k items of largest inner product: rows [B, K] and scores [B, K], best first.

    K is min(k, N). Ties go to the lower row. Items are scanned in blocks, so `items_NM` may be a
    memory map larger than memory.
    """
    rows_BK = np.empty((len(queries_BM), 0), np.int64)
    scores_BK = np.empty((len(queries_BM), 0), np.float32)
    for start in range(0, len(items_NM), SCAN_ROWS):
        block_NM = np.asarray(items_NM[start : start + SCAN_ROWS], np.float32)
        scores_BN = queries_BM @ block_NM.T
        best = [
            _merge(rows_K, scores_K, start, scores_N, k)
            for rows_K, scores_K, scores_N in zip(rows_BK, scores_BK, scores_BN, strict=True)
        ]
        rows_BK = np.stack([rows_K for rows_K, _ in best])
        scores_BK = np.stack([scores_K for _, scores_K in best])
    return rows_BK, scores_BK


def _merge(
    rows_K: NDArray[np.int64], scores_K: Floats, start: int, scores_N: Floats, k: int
) -> tuple[NDArray[np.int64], Floats]:
    """The best k so far and a later block's; a later row must be better, since ties go to lower."""
    full = len(scores_K) == k
    better = np.flatnonzero(scores_N > scores_K[-1]) if full else np.arange(len(scores_N))
    rows = np.concatenate([rows_K, start + better])
    return _top_k(rows, np.concatenate([scores_K, scores_N[better]]), k)


def _top_k(rows_N: NDArray[np.int64], scores_N: Floats, k: int) -> tuple[NDArray[np.int64], Floats]:
    """The first k by (score descending, row ascending), exactly, also when ties straddle k."""
    if len(scores_N) > k:
        keep = scores_N >= np.partition(scores_N, -k)[-k]
        rows_N, scores_N = rows_N[keep], scores_N[keep]
    order = np.lexsort((rows_N, -scores_N))[:k]
    return rows_N[order], scores_N[order]
