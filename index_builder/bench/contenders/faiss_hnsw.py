"""FAISS's HNSW by inner product, over fp16 vectors."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import faiss

from index_builder.bench.contenders.contender import Floats, Given, Rows, Variant
from index_builder.cells import BLOCK

LIBRARY = "faiss-cpu"
EFFORT = "candidates kept (efSearch)"
VARIANTS = (
    Variant("HNSW32,SQfp16, efConstruction 64", {"links": 32, "building": 64}),
    Variant("HNSW16,SQfp16, efConstruction 64", {"links": 16, "building": 64}),
    Variant("HNSW32,SQfp16, efConstruction 200", {"links": 32, "building": 200}),
)
FILE = "items.faiss"
MOST = 8192


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Add in blocks: memory holds the graph and one block."""
    items_NM = given.read_items()
    factory = f"HNSW{variant.build['links']},SQfp16"
    made = faiss.index_factory(items_NM.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    index = cast("faiss.IndexHNSW", made)
    index.hnsw.efConstruction = int(variant.build["building"])
    index.train(items_NM[:BLOCK])
    for start in range(0, len(items_NM), BLOCK):
        index.add(items_NM[start : start + BLOCK])
    faiss.write_index(index, str(directory / FILE))
    return {}


class FaissHnsw:
    """The graph."""

    most = MOST

    def __init__(self, index: faiss.IndexHNSW) -> None:
        self.index = index

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """The best of the candidates."""
        parameters = faiss.SearchParametersHNSW(efSearch=max(k, effort))  # type: ignore[attr-defined]  # not in its stubs
        rows_K: Rows = self.index.search(query_M[None], k, params=parameters)[1][0]
        return rows_K


def open_index(given: Given, variant: Variant, directory: Path) -> FaissHnsw:
    """Read the file."""
    return FaissHnsw(cast("faiss.IndexHNSW", faiss.read_index(str(directory / FILE))))
