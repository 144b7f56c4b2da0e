"""Golden queries: a pair is served only if it answers them here as it did where it was built.

Decisions
- They go through the retriever like any request, so they hold tower, scaling, search and ids at
  once, on this machine's processor and libraries.
- Scores of the items found are compared with the builder's within a tolerance: float32 kernels
  differ between processors, a swapped tower or item table differs by far more.
- Recall counts an item as found by its score, so that ties at the last place are fair. It is 1 for
  an exact index; otherwise it may lie a little below the builder's target, because the golden set
  is a small sample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bundle.features import FeatureError
from bundle.manifest import GoldenCase
from bundle.weights import ObjectiveWeights, WeightsError
from service.retrieval.retriever import Query, Retrieved, retrieve
from service.snapshots.snapshot import Snapshot

SCORE_TOLERANCE = 1e-3  # of the largest score of a case
RECALL_SLACK = 0.05


class GoldenCheckError(Exception):
    """A pair that does not answer its golden queries as its builder did."""


def check_golden(snapshot: Snapshot) -> None:
    """Answer every golden query; raise GoldenCheckError on drifted scores or low recall."""
    effort = snapshot.index.effort
    least = effort.target_recall - RECALL_SLACK if effort else 1.0
    recall = float(np.mean([_recall(snapshot, case) for case in snapshot.golden.cases]))
    if recall < least:
        raise GoldenCheckError(
            f"golden queries of {snapshot.name}: expected a recall of at least {least:.3f}, got "
            f"{recall:.3f}; build the index again"
        )


def _recall(snapshot: Snapshot, case: GoldenCase) -> float:
    """Share of a case's list that is found, after holding the scores against the builder's."""
    try:
        weights = ObjectiveWeights.parse(dict(case.weights), snapshot.segments.names)
        query = Query(case.user, weights, k=len(case.item_ids), objective_scores=True)
        found = retrieve(snapshot, query)
    except (FeatureError, WeightsError) as error:
        raise GoldenCheckError(f"golden query of {snapshot.name}: {error}") from error
    scores_K = _exact_scores(found, weights)
    tolerance = SCORE_TOLERANCE * max(1e-6, float(np.abs(case.scores).max()))
    expected = dict(zip(case.item_ids, case.scores, strict=True))
    for item_id, score in zip(found.item_ids, scores_K.tolist(), strict=True):
        if abs(expected.get(item_id, score) - score) > tolerance:
            raise GoldenCheckError(
                f"golden query of {snapshot.name}: expected score {expected[item_id]:.6g} for item "
                f"{item_id!r}, got {score:.6g}; the towers or vectors are not those of the "
                "builder, or this machine computes differently"
            )
    return float((scores_K >= min(case.scores) - tolerance).sum() / len(case.item_ids))


def _exact_scores(found: Retrieved, weights: ObjectiveWeights) -> NDArray[np.float64]:
    """Weighted scores [K] from the stored vectors: the index itself may hold rounded ones."""
    per_stage = found.objective_scores or {}
    scores_SK = np.stack([per_stage[stage] for stage in weights.stages])
    scores_K: NDArray[np.float64] = weights.as_array() @ scores_SK
    return scores_K
