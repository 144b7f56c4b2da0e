"""FAISS's inverted file as its factory makes it for inner product: spherical k-means, flat or fp16
codes, cells probed by inner product with the unit centroids.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import faiss

from index_builder.bench.contenders.contender import Floats, Given, Rows, Variant
from index_builder.bench.contenders.faiss_factory import FILE, write_inverted
from index_builder.cells import visiting

LIBRARY = "faiss-cpu"
EFFORT = "cells visited (nprobe)"
VARIANTS = (
    Variant("IVF8√N,Flat", {"cells": 8, "codes": "Flat"}),
    Variant("IVF8√N,SQfp16", {"cells": 8, "codes": "SQfp16"}, usual="always"),
    Variant("IVF4√N,Flat", {"cells": 4, "codes": "Flat"}),
    Variant("IVF4√N,SQfp16", {"cells": 4, "codes": "SQfp16"}),
    Variant("IVF2√N,Flat", {"cells": 2, "codes": "Flat"}),
    Variant("IVF16√N,SQfp16", {"cells": 16, "codes": "SQfp16"}),
)


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Train and add, nothing else."""
    options = variant.build
    return write_inverted(given, float(options["cells"]), str(options["codes"]), directory)


class FaissIvf:
    """The mapped inverted file."""

    def __init__(self, index: faiss.IndexIVF) -> None:
        self.index, self.most = index, index.nlist

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """The best of the cells whose unit centroid is nearest to the query."""
        rows_K: Rows = self.index.search(query_M[None], k, params=visiting(effort))[1][0]
        return rows_K


def open_index(given: Given, variant: Variant, directory: Path) -> FaissIvf:
    """Map the file."""
    index = faiss.read_index(str(directory / FILE), faiss.IO_FLAG_MMAP_IFC)
    return FaissIvf(cast("faiss.IndexIVF", index))
