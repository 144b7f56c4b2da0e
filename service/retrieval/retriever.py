"""One request, start to end: encode → user tower → scale (Eq. 8) → search → columns.

A pure function of a snapshot and a query, so that one request reads one tower, one index and one
set of weights, and so that golden checks, warm-up and requests run the very same code.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bundle.scoring import objective_scores, scale_query
from bundle.weights import ObjectiveWeights
from service.retrieval.effort import FULL, Effort
from service.retrieval.filters import Condition
from service.retrieval.index import Found
from service.retrieval.users import RawUser, User, embed
from service.snapshots.snapshot import Snapshot

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Query:
    """A user's raw features, the weights in force, and the list wanted.

    `stored` holds what a store adds to the features of the request.
    """

    user: Mapping[str, object]
    weights: ObjectiveWeights
    k: int
    exclude: Sequence[str] = ()
    objective_scores: bool = False
    filter: Sequence[Condition] = ()
    effort: Effort = FULL
    stored: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class ItemColumns:
    """Columns of a list of items, and the user they are for."""

    item_ids: list[str]
    scores: Floats  # [K], weighted
    objective_scores: dict[str, Floats] | None  # per stage [K], not weighted
    user: User
    seconds: dict[str, float]  # encode, tower, and search or score


@dataclass(frozen=True)
class Retrieved(ItemColumns):
    """A list, best item first, and how it was found."""

    search: Found


def retrieve(snapshot: Snapshot, query: Query) -> Retrieved:
    """The k best items for a query. Raises FeatureError or FilterError for a wrong value."""
    return retrieve_all(snapshot, [query])[0]


def retrieve_all(snapshot: Snapshot, queries: Sequence[Query]) -> list[Retrieved]:
    """The lists of several queries: one call of the tower, then one search each.

    Raises as `retrieve` does; the row of a FeatureError is the query's place.
    """
    users = embed(snapshot, [RawUser(query.user, query.stored) for query in queries])
    return [_search(snapshot, *pair) for pair in zip(queries, users, strict=True)]


def _search(snapshot: Snapshot, query: Query, user: User) -> Retrieved:
    began = time.perf_counter()
    weights_S = query.weights.as_array()
    queries_1M = scale_query(user.vector_1M, weights_S, snapshot.segments)
    index, passing = snapshot.index, snapshot.index.passing(query.filter)
    excluded_X = index.rows_of(query.exclude)
    found = index.search(queries_1M[0], weights_S, query.k, excluded_X, passing, query.effort)
    searched = time.perf_counter() - began
    return Retrieved(
        item_ids=index.ids_of(found.rows_K),
        scores=found.scores_K,
        objective_scores=per_stage(snapshot, user, found.rows_K)
        if query.objective_scores
        else None,
        user=user,
        seconds={**user.seconds, "search": searched},
        search=found,
    )


def per_stage(snapshot: Snapshot, user: User, rows_K: NDArray[np.int64]) -> dict[str, Floats]:
    """Each stage's own scores [K] of rows, from the exact vectors."""
    items_1KM = snapshot.index.vectors_of(rows_K)[None]
    scores_S1K = objective_scores(user.vector_1M, items_1KM, snapshot.segments)
    return dict(zip(snapshot.segments.names, scores_S1K[:, 0], strict=True))
