"""hnswlib, by distance in one dimension more (see `extended.py`) or by raw inner product."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import hnswlib
import numpy as np

from index_builder.bench.contenders.contender import Floats, Given, Rows, Variant
from index_builder.bench.contenders.extended import dims, extended, extending

LIBRARY = "hnswlib"
EFFORT = "candidates kept (ef)"
VARIANTS = (
    Variant("l2, M 16, ef_construction 100", {"space": "l2", "links": 16, "building": 100}),
    Variant("l2, M 32, ef_construction 200", {"space": "l2", "links": 32, "building": 200}),
    Variant("ip, M 16, ef_construction 100", {"space": "ip", "links": 16, "building": 100}),
)
FILE = "items.hnsw"
MOST = 8192


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Add and save."""
    space = str(variant.build["space"])
    items_NX = extended(given.read_items(), space)
    count, dim = items_NX.shape
    index = hnswlib.Index(space=space, dim=dim)
    links, building = int(variant.build["links"]), int(variant.build["building"])
    index.init_index(max_elements=count, M=links, ef_construction=building, random_seed=0)
    index.add_items(items_NX, num_threads=threads)
    index.save_index(str(directory / FILE))
    return {}


class HnswlibGraph:
    """The graph."""

    most = MOST

    def __init__(self, index: hnswlib.Index, extend: Callable[[Floats], Floats]) -> None:
        self.index, self.extend, self.effort = index, extend, 0

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """The best of the candidates; nothing if the graph yields fewer than k."""
        if max(k, effort) != self.effort:
            self.effort = max(k, effort)
            self.index.set_ef(self.effort)
        try:
            rows_1K, _ = self.index.knn_query(self.extend(query_M), k=k, num_threads=1)
        except RuntimeError:
            return np.empty(0, np.int64)
        return np.asarray(rows_1K[0], np.int64)


def open_index(given: Given, variant: Variant, directory: Path) -> HnswlibGraph:
    """Read the file."""
    space, dim = str(variant.build["space"]), given.segments.dim
    index = hnswlib.Index(space=space, dim=dims(dim, space))
    index.load_index(str(directory / FILE))
    index.set_num_threads(1)
    return HnswlibGraph(index, extending(dim, space))
