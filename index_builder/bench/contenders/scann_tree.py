"""ScaNN by dot product: a tree, anisotropic 4-bit codes, exact reordering, as its guide says.

How many times k are reordered is a variant; so is SOAR, which puts each item into a second leaf,
orthogonal to the first, and other thresholds of the anisotropic loss. Effort is leaves.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import scann

from index_builder.bench.contenders.contender import Floats, Given, Rows, Variant

LIBRARY = "scann"
EFFORT = "leaves searched"
TREE, REORDERED = {"leaves": 4}, (3, 8, 15, 30)
SOAR = 1.5  # lambda of its authors' own benchmark
VARIANTS = (
    *(Variant(f"4√N leaves, reorder {n}k", TREE, {"reordered": n}) for n in REORDERED),
    *(
        Variant(f"SOAR, reorder {n}k", TREE | {"soar": SOAR}, {"reordered": n}, usual=True)
        for n in REORDERED
    ),
    *(
        Variant(f"{t}√N leaves, reorder {n}k", {"leaves": t}, {"reordered": n})
        for t in (1, 2, 8)
        for n in REORDERED
    ),
    *(
        Variant(f"threshold {t:g}, reorder {n}k", TREE | {"threshold": t}, {"reordered": n})
        for t in (0.1, 0.3)
        for n in REORDERED
    ),
)
SAMPLE = 250_000


def leaves_of(count: int, times: float) -> int:
    """A multiple of √N."""
    return max(1, round(times * math.sqrt(count)))


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Train, add, and write a directory of files."""
    items_NM = np.array(given.read_items())
    leaves = leaves_of(len(items_NM), float(variant.build["leaves"]))
    builder = scann.scann_ops_pybind.builder(items_NM, 100, "dot_product")
    builder.set_n_training_threads(threads)
    builder.tree(
        leaves,
        max(1, leaves // 20),
        training_sample_size=min(SAMPLE, len(items_NM)),
        soar_lambda=variant.build.get("soar"),
    )
    threshold = float(variant.build.get("threshold", 0.2))
    builder.score_ah(2, anisotropic_quantization_threshold=threshold).reorder(300)
    builder.build().serialize(str(directory), relative_path=True)
    return {}


class ScannTree:
    """The tree."""

    def __init__(self, searcher: scann.ScannSearcher, most: int, reordered: float) -> None:
        self.searcher, self.most, self.reordered = searcher, most, reordered

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """The best of those whose codes look best."""
        rows_K, _ = self.searcher.search(
            query_M,
            final_num_neighbors=k,
            pre_reorder_num_neighbors=int(self.reordered * k),
            leaves_to_search=effort,
        )
        return np.asarray(rows_K, np.int64)


@cache
def _read(directory: Path) -> scann.ScannSearcher:
    return scann.scann_ops_pybind.load_searcher(str(directory))


def open_index(given: Given, variant: Variant, directory: Path) -> ScannTree:
    """Variants of one directory share it."""
    leaves = leaves_of(given.count, float(variant.build["leaves"]))
    return ScannTree(_read(directory), leaves, float(variant.search["reordered"]))
