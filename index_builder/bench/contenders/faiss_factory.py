"""FAISS's inverted files as its factory makes them for inner product, by spherical k-means.

Files of as many cells share their k-means, as whoever tries several codes would have it: a build
that takes over the cells of another says how long they took.
"""

from __future__ import annotations

import time
from pathlib import Path

import faiss
import numpy as np

from index_builder.bench.contenders.contender import Floats, Given, root_multiple

FILE = "items.faiss"
_trained: dict[tuple[Path, int], tuple[Floats, float]] = {}


def write_inverted(given: Given, times: float, codes: str, directory: Path) -> dict[str, float]:
    """Train, add and write `IVF<times·√N>,<codes>`; seconds of the k-means."""
    items_NM = np.array(given.read_items())
    cells = root_multiple(len(items_NM), times)
    centroids_CM, seconds = _centroids(given.items, items_NM, cells)
    factory = f"IVF{cells},{codes}"
    index = faiss.index_factory(items_NM.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    faiss.downcast_index(faiss.extract_index_ivf(index).quantizer).add(centroids_CM)
    index.train(items_NM)
    index.add(items_NM)
    faiss.write_index(index, str(directory / FILE))
    return {"k-means, shared": seconds}


def _centroids(items: Path, items_NM: Floats, cells: int) -> tuple[Floats, float]:
    """As the factory trains them, and how long that took."""
    if (items, cells) not in _trained:
        began = time.perf_counter()
        factory = f"IVF{cells},Flat"
        index = faiss.index_factory(items_NM.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        index.train(items_NM)
        quantizer = faiss.downcast_index(faiss.extract_index_ivf(index).quantizer)
        centroids_CM = quantizer.reconstruct_n(0, cells)
        _trained[items, cells] = centroids_CM, time.perf_counter() - began
    return _trained[items, cells]
