"""voyager by inner product: it adds a dimension that makes a distance of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import voyager

from index_builder.bench.contenders.contender import Floats, Given, Rows, Variant

LIBRARY = "voyager"
EFFORT = "candidates kept (query_ef)"
VARIANTS = (
    Variant("M 16, ef_construction 100", {"links": 16, "building": 100}),
    Variant("M 32, ef_construction 100", {"links": 32, "building": 100}),
    Variant("M 12, ef_construction 200", {"links": 12, "building": 200}),
)
FILE = "items.voy"
MOST = 8192


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Add and save."""
    items_NM = np.array(given.read_items())
    index = voyager.Index(
        voyager.Space.InnerProduct,
        num_dimensions=items_NM.shape[1],
        M=int(variant.build["links"]),
        ef_construction=int(variant.build["building"]),
        max_elements=len(items_NM),
    )
    index.add_items(items_NM, num_threads=threads)
    index.save(str(directory / FILE))
    return {}


class VoyagerGraph:
    """The graph."""

    most = MOST

    def __init__(self, index: voyager.Index) -> None:
        self.index = index

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """The best of the candidates; nothing if the graph yields fewer than k."""
        try:
            rows_K, _ = self.index.query(query_M, k, num_threads=1, query_ef=max(k, effort))
        except voyager.RecallError:
            return np.empty(0, np.int64)
        return np.asarray(rows_K, np.int64)


def open_index(given: Given, variant: Variant, directory: Path) -> VoyagerGraph:
    """Read the file."""
    return VoyagerGraph(voyager.Index.load(str(directory / FILE)))
