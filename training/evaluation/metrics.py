"""Recall@K and nDCG@K of ranked lists, macro and micro.

Decisions
- Macro is the mean over queries, micro pools all positives: `Σ hits / Σ positives` for recall,
  `Σ DCG / Σ ideal DCG` for nDCG. A log with a few long sessions shows in their difference.
- Relevance is binary; the ideal list is as long as the query's positives or K, whichever is less.
- A list is searched once: the place of each positive in it gives every metric, K and slice.

Dimension letters: Q queries, K ranks, P (query, item) positives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Marks = NDArray[np.bool_]
Floats = NDArray[np.float64]
NOWHERE = 2**62  # behind every place that a list can have
BLOCK = 2048  # positives looked up at once: bounds memory


@dataclass(frozen=True)
class Relevant:
    """Positives as pairs of query row and item row; each pair once."""

    query_P: Rows
    item_P: Rows

    def only(self, keep_P: Marks) -> Relevant:
        """The marked pairs."""
        return Relevant(self.query_P[keep_P], self.item_P[keep_P])

    def places(self, ranked_QK: Rows) -> Rows:
        """[P] the place, from 0, of each positive in its query's list, or NOWHERE."""
        place_P = np.empty(len(self.query_P), np.int64)
        for start in range(0, len(place_P), BLOCK):
            block = slice(start, start + BLOCK)
            at_PK = ranked_QK[self.query_P[block]] == self.item_P[block, None]
            place_P[block] = np.where(at_PK.any(axis=1), at_PK.argmax(axis=1), NOWHERE)
        return place_P


Metrics = dict[str, dict[str, float]]


def ranking_metrics(query_P: Rows, place_P: Rows, ks: Sequence[int]) -> Metrics:
    """`{"recall@50": {"macro": …, "micro": …}, "ndcg@50": …}` over queries with a positive.

    `place_P` as `Relevant.places` has it. A list shorter than K counts as the list that it is.
    """
    positives_Q = np.bincount(query_P)
    judged = positives_Q > 0
    metrics: Metrics = {}
    for k in ks:
        discounts_K = 1.0 / np.log2(np.arange(2, k + 2))
        found_P = place_P < k
        gain_P = np.where(found_P, discounts_K[np.minimum(place_P, k - 1)], 0.0)
        ideal_Q = np.concatenate([[0.0], np.cumsum(discounts_K)])[np.minimum(positives_Q, k)]
        hits_Q, gain_Q = np.bincount(query_P, found_P), np.bincount(query_P, gain_P)
        metrics[f"recall@{k}"] = _means(hits_Q[judged], positives_Q[judged])
        metrics[f"ndcg@{k}"] = _means(gain_Q[judged], ideal_Q[judged])
    return metrics


def recall_per_query(query_P: Rows, found_P: Marks, queries: int) -> Floats:
    """[Q] share of each query's positives that were found; NaN for a query without any."""
    positives_Q = np.bincount(query_P, minlength=queries)
    hits_Q = np.bincount(query_P, found_P, minlength=queries)
    recall_Q = np.full(queries, np.nan)
    np.divide(hits_Q, positives_Q, out=recall_Q, where=positives_Q > 0)
    return recall_Q


def _means(reached_Q: NDArray[np.generic], possible_Q: NDArray[np.generic]) -> dict[str, float]:
    reached, possible = reached_Q.astype(np.float64), possible_Q.astype(np.float64)
    if not len(possible):
        return {"macro": 0.0, "micro": 0.0}
    return {
        "macro": round(float((reached / possible).mean()), 6),
        "micro": round(float(reached.sum() / possible.sum()), 6),
    }
