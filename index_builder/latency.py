"""How long one search takes here, one query at a time on one thread, as a server asks.

For the person who reads the summary: never stored, since it belongs to this machine and moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import faiss
import numpy as np
from numpy.typing import NDArray

from bundle.effort import EffortMap
from index_builder.calibrate import list_lengths

QUERIES = 100
Search = Callable[[NDArray[np.float32], int, int], object]  # queries, k, cells to visit


def search_milliseconds(
    search: Search,
    items: int,
    effort: EffortMap | None,
    queries_BM: NDArray[np.float32],
    weights_S: NDArray[np.float64],
) -> dict[int, float]:
    """Median milliseconds of a search, per list length."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        return {
            k: _median(
                search, queries_BM[:QUERIES], k, effort.lookup(weights_S, k) if effort else 0
            )
            for k in list_lengths(items)
        }
    finally:
        faiss.omp_set_num_threads(threads)


def _median(search: Search, queries_BM: NDArray[np.float32], k: int, cells: int) -> float:
    seconds = []
    for query_M in queries_BM:
        start = time.perf_counter()
        search(query_M[None], k, cells)
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds)
