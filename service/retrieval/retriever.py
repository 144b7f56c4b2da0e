"""One request, start to end: encode → user tower → scale (Eq. 8) → search → columns.

A pure function of a snapshot and a query, so that one request reads one tower, one index and one
set of weights, and so that golden checks, warm-up and requests run the very same code.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.scoring import objective_scores, scale_query
from bundle.weights import ObjectiveWeights
from service.retrieval.filters import Condition
from service.snapshots.snapshot import Snapshot

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Query:
    """A user's raw features, the weights in force, and the list wanted."""

    user: Mapping[str, object]
    weights: ObjectiveWeights
    k: int
    exclude: Sequence[str] = ()
    objective_scores: bool = False
    filter: Sequence[Condition] = ()


@dataclass(frozen=True)
class Retrieved:
    """Columns of the list, best item first, and what was unknown about the user."""

    item_ids: list[str]
    scores: Floats  # [K], weighted
    objective_scores: dict[str, Floats] | None  # per stage [K], not weighted
    unknown_features: list[str]  # names that the towers do not read
    unknown_categories: dict[str, int]  # feature → values outside its vocabulary
    seconds: dict[str, float]  # encode, tower, search


def retrieve(snapshot: Snapshot, query: Query) -> Retrieved:
    """The k best items for a query. Raises FeatureError or FilterError for a wrong value."""
    clock = [time.perf_counter()]
    columns = {name: [query.user[name]] for name in snapshot.user_features & query.user.keys()}
    encoded = snapshot.schema.encode_user(columns, rows=1)
    clock.append(time.perf_counter())
    users_1M = snapshot.tower.embed(encoded.arrays)
    weights_S = query.weights.as_array()
    queries_1M = scale_query(users_1M, weights_S, snapshot.segments)
    clock.append(time.perf_counter())
    index, passing = snapshot.index, snapshot.index.passing(query.filter)
    excluded_X = index.rows_of(query.exclude)
    rows_K, scores_K = index.search(queries_1M[0], weights_S, query.k, excluded_X, passing)
    clock.append(time.perf_counter())
    return Retrieved(
        item_ids=index.ids_of(rows_K),
        scores=scores_K,
        objective_scores=_per_stage(snapshot, users_1M, rows_K) if query.objective_scores else None,
        unknown_features=_unknown_features(snapshot, query.user),
        unknown_categories=encoded.unknown,
        seconds=dict(zip(("encode", "tower", "search"), np.diff(clock).tolist(), strict=True)),
    )


def _per_stage(
    snapshot: Snapshot, users_1M: Floats, rows_K: NDArray[np.int64]
) -> dict[str, Floats]:
    items_1KM = snapshot.index.vectors_of(rows_K)[None]
    scores_S1K = objective_scores(users_1M, items_1KM, snapshot.segments)
    return dict(zip(snapshot.segments.names, scores_S1K[:, 0], strict=True))


def _unknown_features(snapshot: Snapshot, user: Mapping[str, object]) -> list[str]:
    """`user_id` names the user also where the towers do not read it."""
    unknown = user.keys() - snapshot.user_features - {"user_id"}
    return sorted(name.encode("utf-8", "replace").decode() for name in unknown)
