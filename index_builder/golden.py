"""The golden set: raw user records and their exact best items, for a server to check itself with.

Each case takes the next record and the next weighting: the bundle's default weights, then each
stage alone. Together they notice a swapped tower, a shifted row, a wrong segment or a stale schema.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bundle.manifest import GoldenCase, GoldenSet
from bundle.scoring import exact_top_k, scale_query
from bundle.store import Bundle
from bundle.weights import ObjectiveWeights
from index_builder.tables import Record

Floats = NDArray[np.float32]
CASES, LENGTH = 32, 50


def golden_set(
    bundle: Bundle,
    records: list[Record],
    users_BM: Floats,
    items_NM: Floats,
    ids_N: NDArray[np.bytes_],
) -> GoldenSet:
    """Up to CASES cases of the LENGTH best items, scores included, best first."""
    stages = bundle.segments.names
    alone = [{stage: float(stage == only) for stage in stages} for only in stages]
    turns = [bundle.manifest.weights, *(ObjectiveWeights.parse(one, stages) for one in alone)]
    cases = []
    for turn, (record, user_M) in enumerate(zip(records[:CASES], users_BM, strict=False)):
        weights = turns[turn % len(turns)]
        query_1M = scale_query(user_M[None], weights.as_array(), bundle.segments)
        rows_1K, scores_1K = exact_top_k(query_1M, items_NM, LENGTH)
        cases.append(
            GoldenCase(
                user=record,
                weights=weights.as_dict(),
                item_ids=[item_id.decode() for item_id in ids_N[rows_1K[0]]],
                scores=scores_1K[0].tolist(),
            )
        )
    return GoldenSet(cases=cases)
