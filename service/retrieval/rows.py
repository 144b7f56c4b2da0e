"""Rows of an index: by item id, and in the order of their scores.

Dimension letters: N items, K retrieved, X ids that were asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


def best_first(scores_N: Floats, k: int) -> Rows:
    """Places of the k largest scores, best first."""
    if len(scores_N) <= k:
        return np.argsort(-scores_N, kind="stable")
    best_K = np.argpartition(-scores_N, k - 1)[:k]
    sorted_K: Rows = best_K[np.argsort(-scores_N[best_K], kind="stable")]
    return sorted_K


def keys_of(item_ids: Sequence[str]) -> NDArray[np.bytes_]:
    """Distinct ids as they are stored; one that ends with NUL would be stored as another."""
    keys = {item_id.encode("utf-8", "surrogatepass") for item_id in item_ids}
    return np.array([key for key in keys if key and not key.endswith(b"\0")], "S")


def find_rows(ids_N: NDArray[np.bytes_], keys_X: NDArray[np.bytes_]) -> Rows:
    """Rows of the keys that are among sorted ids, by binary search."""
    if not (len(ids_N) and len(keys_X)):
        return np.empty(0, np.int64)
    keys_X = keys_X[np.strings.str_len(keys_X) <= ids_N.dtype.itemsize].astype(ids_N.dtype)
    rows_X = np.minimum(np.searchsorted(ids_N, keys_X), len(ids_N) - 1)
    found_X: Rows = rows_X[ids_N[rows_X] == keys_X]
    return found_X
