"""usearch over fp16 vectors, its file mapped; by distance in one dimension more (`extended.py`), or
by raw inner product.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from usearch.index import Index

from index_builder.bench.contenders.contender import Floats, Given, Rows, Variant
from index_builder.bench.contenders.extended import extended, extending

LIBRARY = "usearch"
EFFORT = "candidates kept (expansion_search)"
VARIANTS = (
    Variant(
        "l2sq, connectivity 16, expansion_add 128", {"space": "l2", "links": 16, "building": 128}
    ),
    Variant(
        "l2sq, connectivity 32, expansion_add 256", {"space": "l2", "links": 32, "building": 256}
    ),
    Variant(
        "ip, connectivity 16, expansion_add 128", {"space": "ip", "links": 16, "building": 128}
    ),
)
FILE = "items.usearch"
MOST = 8192


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Add and save."""
    space = str(variant.build["space"])
    items_NX = extended(given.read_items(), space)
    index = Index(
        ndim=items_NX.shape[1],
        metric={"l2": "l2sq", "ip": "ip"}[space],
        dtype="f16",
        connectivity=int(variant.build["links"]),
        expansion_add=int(variant.build["building"]),
    )
    index.add(np.arange(len(items_NX), dtype=np.uint64), items_NX, threads=threads)
    index.save(str(directory / FILE))
    return {}


class UsearchGraph:
    """The graph."""

    most = MOST

    def __init__(
        self,
        index: Any,  # noqa: ANN401  an Index, whose effort its stubs say cannot be set
        extend: Callable[[Floats], Floats],
    ) -> None:
        self.index, self.extend, self.effort = index, extend, 0

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """The best of the candidates."""
        if effort != self.effort:
            self.index.expansion_search = self.effort = effort
        found = self.index.search(self.extend(query_M), k, threads=1)
        return np.asarray(found.keys, np.int64)


def open_index(given: Given, variant: Variant, directory: Path) -> UsearchGraph:
    """Map the file."""
    index = Index.restore(str(directory / FILE), view=True)
    if index is None:
        raise ValueError(f"{directory / FILE}: usearch cannot restore what it saved")
    return UsearchGraph(index, extending(given.segments.dim, str(variant.build["space"])))
