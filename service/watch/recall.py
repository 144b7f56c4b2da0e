"""Recall of a list that was served, against an exact search for the same query.

Decisions
- An item counts as found by its score, so that ties at the last place are fair; scores come from
  the exact vectors, and sums in another order may differ in the last digits.
- Filter, exclusions and changes of the catalogue hold for the exact search as for the other: it is
  the same snapshot that is asked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bundle.scoring import scale_query
from service.retrieval.exact import exact_scores
from service.watch.sample import Sample

ROUNDING = 1e-5  # of the largest score


def recall_of(sample: Sample, rest: Callable[[], None]) -> float | None:
    """The share of the exact best that was found; None where there was nothing to find."""
    snapshot, query, found = sample.snapshot, sample.query, sample.found
    index = snapshot.index
    weights_S = query.weights.as_array()
    query_M = scale_query(found.user.vector_1M, weights_S, snapshot.segments)[0]
    excluded_X, passing = index.rows_of(query.exclude), index.passing(query.filter)
    best_K = exact_scores(index, query_M, query.k, excluded_X, passing, rest)
    if not len(best_K):
        return None
    found_K = index.vectors_of(found.search.rows_K) @ query_M
    limit = best_K[-1] - ROUNDING * np.abs(best_K).max()
    return float(np.count_nonzero(found_K >= limit) / len(best_K))
