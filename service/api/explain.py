"""How a list came about, for whoever wonders about it: the same search, told.

Nothing is computed twice but what a look at tables costs, and nothing at all unless asked for.
"""

from __future__ import annotations

import math

from service.api.schemas import (
    ExplainedSearch,
    ExplainedWeights,
    Explanation,
    FeatureOrigin,
)
from service.retrieval.retriever import Query, Retrieved
from service.snapshots.snapshot import Snapshot
from service.weights.scenarios import InForce, scales


def explain(snapshot: Snapshot, query: Query, weights: InForce, found: Retrieved) -> Explanation:
    """What the list of a query was made from."""
    search, effort = found.search, snapshot.index.effort
    return Explanation(
        weights=ExplainedWeights(
            origin="bundle" if weights.version == 0 else weights.whose,
            weights=weights.weights.as_dict(),
            scales=scales(weights.weights),
        ),
        search=ExplainedSearch(
            strategy=search.strategy,
            candidates=search.candidates,
            excluded=len(snapshot.index.rows_of(query.exclude)),
            cells=search.cells,
            of_cells=effort.cells if effort else 0,
            attempts=search.attempts,
            delta_items=snapshot.index.beside,
            recall=_recall(snapshot, query, found),
        ),
        features={name: _origin(name, query, found) for name in sorted(snapshot.user_features)},
    )


def _origin(feature: str, query: Query, found: Retrieved) -> FeatureOrigin:
    if query.user.get(feature) is not None:
        return "request"
    if feature in found.user.unreadable:
        return "unreadable"
    return "missing" if query.stored.get(feature) is None else "stored"


def _recall(snapshot: Snapshot, query: Query, found: Retrieved) -> float:
    """Of the first attempt; a second one is better."""
    effort, cells = snapshot.index.effort, found.search.cells
    if effort is None or found.search.strategy != "cells" or cells == effort.cells:
        return 1.0
    share = found.search.effort
    if query.filter and share == 1:
        return effort.target_recall
    depth = query.k * snapshot.files.manifest.items / found.search.candidates
    return effort.recall(query.weights.as_array(), max(query.k, math.ceil(depth)), share)
