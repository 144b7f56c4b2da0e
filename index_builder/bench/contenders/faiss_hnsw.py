"""FAISS's HNSW over fp16 vectors, by distance in one dimension more (see `extended.py`), or by raw
inner product, as its factory makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import faiss

from index_builder.bench.contenders.contender import Floats, Given, Rows, Variant
from index_builder.bench.contenders.extended import extended, extending
from index_builder.codes import BLOCK

LIBRARY = "faiss-cpu"
EFFORT = "candidates kept (efSearch)"
VARIANTS = (
    Variant("l2, HNSW32,SQfp16, efConstruction 64", {"space": "l2", "links": 32, "building": 64}),
    Variant("l2, HNSW32,SQfp16, efConstruction 200", {"space": "l2", "links": 32, "building": 200}),
    Variant("ip, HNSW32,SQfp16, efConstruction 64", {"space": "ip", "links": 32, "building": 64}),
)
FILE = "items.faiss"
MULTIPLE = 8  # dims: else fp16 vectors are decoded one number at a time
METRICS = {"ip": faiss.METRIC_INNER_PRODUCT, "l2": faiss.METRIC_L2}
MOST = 8192


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Add and write."""
    space = str(variant.build["space"])
    items_NX = extended(given.read_items(), space, MULTIPLE)
    factory = f"HNSW{variant.build['links']},SQfp16"
    made = faiss.index_factory(items_NX.shape[1], factory, METRICS[space])
    index = cast("faiss.IndexHNSW", made)
    index.hnsw.efConstruction = int(variant.build["building"])
    index.train(items_NX[:BLOCK])
    index.add(items_NX)
    faiss.write_index(index, str(directory / FILE))
    return {}


class FaissHnsw:
    """The graph."""

    most = MOST

    def __init__(self, index: faiss.IndexHNSW, extend: Callable[[Floats], Floats]) -> None:
        self.index, self.extend = index, extend

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """The best of the candidates."""
        parameters = faiss.SearchParametersHNSW(efSearch=max(k, effort))  # type: ignore[attr-defined]  # not in its stubs
        rows_K: Rows = self.index.search(self.extend(query_M)[None], k, params=parameters)[1][0]
        return rows_K


def open_index(given: Given, variant: Variant, directory: Path) -> FaissHnsw:
    """Read the file."""
    index = cast("faiss.IndexHNSW", faiss.read_index(str(directory / FILE)))
    return FaissHnsw(index, extending(given.segments.dim, str(variant.build["space"]), MULTIPLE))
