"""Recall@K and nDCG@K of ranked lists, macro and micro.

Decisions
- Macro is the mean over queries, micro pools all positives: `Σ hits / Σ positives` for recall,
  `Σ DCG / Σ ideal DCG` for nDCG. A log with a few long sessions shows in their difference.
- Relevance is binary; the ideal list is as long as the query's positives or K, whichever is less.

Dimension letters: Q queries, K ranks, P (query, item) positives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Relevant:
    """Positives as pairs of query row and item row; each pair once."""

    query_P: Rows
    item_P: Rows

    def only(self, keep_P: NDArray[np.bool_]) -> Relevant:
        """The marked pairs."""
        return Relevant(self.query_P[keep_P], self.item_P[keep_P])

    def hits(self, ranked_QK: Rows) -> NDArray[np.bool_]:
        """[Q, K] where the ranked item is a positive of the query."""
        stride = int(max(self.item_P.max(initial=0), ranked_QK.max(initial=0))) + 1
        queries_Q1 = np.arange(len(ranked_QK))[:, None]
        return np.isin(queries_Q1 * stride + ranked_QK, self.query_P * stride + self.item_P)


Metrics = dict[str, dict[str, float]]


def ranking_metrics(ranked_QK: Rows, relevant: Relevant, ks: Sequence[int]) -> Metrics:
    """`{"recall@10": {"macro": …, "micro": …}, "ndcg@10": …}` over queries with a positive."""
    positives_Q = np.bincount(relevant.query_P, minlength=len(ranked_QK))
    judged = positives_Q > 0
    hits_QK, positives_Q = relevant.hits(ranked_QK)[judged], positives_Q[judged]
    metrics: Metrics = {}
    for k in ks:
        metrics[f"recall@{k}"] = _means(hits_QK[:, :k].sum(axis=1), positives_Q)
        discounts_K = 1.0 / np.log2(np.arange(2, k + 2))
        ideal_Q = np.concatenate([[0.0], np.cumsum(discounts_K)])[np.minimum(positives_Q, k)]
        gain_Q = hits_QK[:, :k] @ discounts_K[: hits_QK.shape[1]]
        metrics[f"ndcg@{k}"] = _means(gain_Q, ideal_Q)
    return metrics


def _means(reached_Q: NDArray[np.generic], possible_Q: NDArray[np.generic]) -> dict[str, float]:
    reached, possible = reached_Q.astype(np.float64), possible_Q.astype(np.float64)
    if not len(possible):
        return {"macro": 0.0, "micro": 0.0}
    return {
        "macro": round(float((reached / possible).mean()), 6),
        "micro": round(float(reached.sum() / possible.sum()), 6),
    }
