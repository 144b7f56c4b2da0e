"""hnswlib by inner product (`space="ip"`)."""

from __future__ import annotations

from pathlib import Path

import hnswlib
import numpy as np

from index_builder.bench.contenders.contender import Floats, Given, Rows, Variant

LIBRARY = "hnswlib"
EFFORT = "candidates kept (ef)"
VARIANTS = (
    Variant("M 16, ef_construction 100", {"links": 16, "building": 100}),
    Variant("M 32, ef_construction 100", {"links": 32, "building": 100}),
    Variant("M 32, ef_construction 200", {"links": 32, "building": 200}),
)
FILE = "items.hnsw"
MOST = 8192


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Add and save."""
    items_NM = np.array(given.read_items())
    count, dim = items_NM.shape
    index = hnswlib.Index(space="ip", dim=dim)
    links, building = int(variant.build["links"]), int(variant.build["building"])
    index.init_index(max_elements=count, M=links, ef_construction=building, random_seed=0)
    index.add_items(items_NM, num_threads=threads)
    index.save_index(str(directory / FILE))
    return {}


class HnswlibGraph:
    """The graph."""

    most = MOST

    def __init__(self, index: hnswlib.Index) -> None:
        self.index, self.effort = index, 0

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """The best of the candidates; nothing if the graph yields fewer than k."""
        if effort != self.effort:
            self.index.set_ef(max(k, effort))
            self.effort = effort
        try:
            rows_1K, _ = self.index.knn_query(query_M, k=k, num_threads=1)
        except RuntimeError:
            return np.empty(0, np.int64)
        return np.asarray(rows_1K[0], np.int64)


def open_index(given: Given, variant: Variant, directory: Path) -> HnswlibGraph:
    """Read the file."""
    index = hnswlib.Index(space="ip", dim=given.segments.dim)
    index.load_index(str(directory / FILE))
    index.set_num_threads(1)
    return HnswlibGraph(index)
