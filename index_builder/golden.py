"""The golden set: raw user records and their exact best items, for a server to check itself with.

Each case takes the next record and the next weighting: the bundle's default weights, then each
stage alone. Together they notice a swapped tower, a shifted row, a wrong segment or a stale schema.
"""

from __future__ import annotations

from itertools import cycle

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
    asked = list(zip(records[:CASES], users_BM, cycle(turns), strict=False))
    queries_BM = np.stack(
        [scale_query(user_M, weights.as_array(), bundle.segments) for _, user_M, weights in asked]
    )
    best = exact_top_k(queries_BM, items_NM, LENGTH)
    return GoldenSet(
        cases=[
            GoldenCase(
                user=record,
                weights=weights.as_dict(),
                item_ids=[item_id.decode() for item_id in ids_N[rows_K]],
                scores=scores_K.tolist(),
            )
            for (record, _, weights), rows_K, scores_K in zip(asked, *best, strict=True)
        ]
    )
