"""usearch by inner product (`metric="ip"`), over fp16 vectors, its file mapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from usearch.index import Index

from index_builder.bench.contenders.contender import Floats, Given, Rows, Variant

LIBRARY = "usearch"
EFFORT = "candidates kept (expansion_search)"
VARIANTS = (
    Variant("f16, connectivity 16, expansion_add 128", {"links": 16, "building": 128}),
    Variant("f16, connectivity 32, expansion_add 128", {"links": 32, "building": 128}),
    Variant("f16, connectivity 32, expansion_add 256", {"links": 32, "building": 256}),
)
FILE = "items.usearch"
MOST = 8192


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Add and save."""
    items_NM = np.array(given.read_items())
    index = Index(
        ndim=items_NM.shape[1],
        metric="ip",
        dtype="f16",
        connectivity=int(variant.build["links"]),
        expansion_add=int(variant.build["building"]),
    )
    index.add(np.arange(len(items_NM), dtype=np.uint64), items_NM, threads=threads)
    index.save(str(directory / FILE))
    return {}


class UsearchGraph:
    """The graph."""

    most = MOST

    def __init__(self, index: Index) -> None:
        self.index, self.effort = index, 0

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """The best of the candidates."""
        if effort != self.effort:
            self.index.expansion_search = self.effort = effort
        return np.asarray(self.index.search(query_M, k, threads=1).keys, np.int64)


def open_index(given: Given, variant: Variant, directory: Path) -> UsearchGraph:
    """Map the file."""
    index = Index.restore(str(directory / FILE), view=True)
    if index is None:
        raise ValueError(f"{directory / FILE}: usearch cannot restore what it saved")
    return UsearchGraph(index)
