"""Scores of given candidates: the same towers, weights and vectors as retrieval, without a search.

Decisions
- Scores come from the exact vectors; a list's own come from the index, which may round them.
- The order, and what is given twice, stay as they were: a caller's candidates are its own. Those
  that the catalogue lacks, or that were removed from it, are named apart.
- An item's score does not depend on the others: `@` sums in an order that does, in the last digit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bundle.scoring import scale_query
from bundle.weights import ObjectiveWeights
from service.retrieval.retriever import ItemColumns, per_stage
from service.retrieval.users import RawUser, embed
from service.snapshots.snapshot import Snapshot


@dataclass(frozen=True)
class Candidates:
    """A user's raw features, the weights in force, and the items to score; `stored` as in Query."""

    user: Mapping[str, object]
    weights: ObjectiveWeights
    item_ids: Sequence[str]
    objective_scores: bool = False
    stored: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored(ItemColumns):
    """Columns of the candidates that there are, in the order given."""

    missing: list[str]


def score(snapshot: Snapshot, asked: Candidates) -> Scored:
    """The candidates' scores. Raises FeatureError for a wrong value."""
    (user,) = embed(snapshot, [RawUser(asked.user, asked.stored)])
    began = time.perf_counter()
    index = snapshot.index
    rows_X = index.rows_of(asked.item_ids)
    row_of = dict(zip(index.ids_of(rows_X), rows_X.tolist(), strict=True))
    found = [item_id for item_id in asked.item_ids if item_id in row_of]
    rows_K = np.array([row_of[item_id] for item_id in found], np.int64)
    query_1M = scale_query(user.vector_1M, asked.weights.as_array(), snapshot.segments)
    scores_K = np.einsum("km,m->k", index.vectors_of(rows_K), query_1M[0])
    missing = [item_id for item_id in asked.item_ids if item_id not in row_of]
    return Scored(
        item_ids=found,
        scores=scores_K,
        objective_scores=per_stage(snapshot, user, rows_K) if asked.objective_scores else None,
        user=user,
        seconds={**user.seconds, "score": time.perf_counter() - began},
        missing=[item_id.encode("utf-8", "replace").decode() for item_id in missing],
    )
