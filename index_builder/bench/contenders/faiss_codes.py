"""FAISS's short codes, refined by fp16 vectors: 4-bit product quantization and RaBitQ, both in
fast-scan layout, in cells of the factory's spherical k-means.

How many times k are refined is a variant; effort is cells.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import cast

import faiss
import numpy as np

from index_builder.bench.contenders.contender import (
    Floats,
    Given,
    Options,
    Rows,
    Variant,
    root_multiple,
)
from index_builder.cells import visiting

LIBRARY = "faiss-cpu"
EFFORT = "cells visited (nprobe)"
PQ: Options = {"cells": 4, "codes": "PQ32x4fsr"}
RABITQ: Options = {"cells": 4, "codes": "RaBitQfs"}
VARIANTS = (
    *(Variant(f"IVF4√N,PQ32x4fsr, refine {n}k", PQ, {"refined": n}) for n in (4, 10, 40)),
    *(Variant(f"IVF4√N,RaBitQfs, refine {n}k", RABITQ, {"refined": n}) for n in (10, 40)),
)
FILE = "items.faiss"


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Train and add."""
    items_NM = np.array(given.read_items())
    cells = root_multiple(len(items_NM), float(variant.build["cells"]))
    factory = f"IVF{cells},{variant.build['codes']},Refine(SQfp16)"
    index = faiss.index_factory(items_NM.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    index.train(items_NM)
    index.add(items_NM)
    faiss.write_index(index, str(directory / FILE))
    return {}


class FaissCodes:
    """Codes, then vectors."""

    def __init__(self, index: faiss.IndexRefine, refined: float) -> None:
        self.index, self.refined = index, refined
        self.most = faiss.extract_index_ivf(index.base_index).nlist

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """The best of those whose codes look best."""
        parameters = faiss.IndexRefineSearchParameters(  # type: ignore[call-arg]  # not in its stubs
            k_factor=self.refined, base_index_params=visiting(effort)
        )
        rows_K: Rows = self.index.search(query_M[None], k, params=parameters)[1][0]
        return rows_K


@cache
def _read(path: Path) -> faiss.IndexRefine:
    return cast("faiss.IndexRefine", faiss.read_index(str(path)))


def open_index(given: Given, variant: Variant, directory: Path) -> FaissCodes:
    """Variants of one file share it."""
    return FaissCodes(_read(directory / FILE), float(variant.search["refined"]))
