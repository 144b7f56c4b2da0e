"""ScaNN by dot product: a tree, anisotropic 4-bit codes, exact reordering, as its guide says.

How many times k are reordered is a variant; so are leaves, codes of one dim in place of two, and
SOAR, which puts each item into a second leaf, orthogonal to the first. Effort is leaves. Its
guide's sample of 250,000 trains leaves; where those are many, as many items as FAISS takes a cell.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import scann

from index_builder.bench.contenders.contender import Floats, Given, Options, Rows, Usual, Variant

LIBRARY = "scann"
EFFORT = "leaves searched"
SOAR = 1.5  # lambda of its authors' own benchmark
REORDERED = {1: (1.5, 3, 8), 2: (3, 8, 15, 30)}  # times k, by dims of a code
SAMPLE, PER_LEAF = 250_000, 256


def _variants(times: int, dims: int, *, soar: bool = False, usual: Usual = "") -> list[Variant]:
    build: Options = {"leaves": times, "dims": dims} | ({"soar": SOAR} if soar else {})
    kind = f"{'SOAR, ' * soar}{times}√N leaves, {dims} dim{'s' * (dims > 1)} a code"
    return [
        Variant(f"{kind}, reorder {n:g}k", build, {"reordered": n}, usual=usual)
        for n in REORDERED[dims]
    ]


VARIANTS = (
    *_variants(4, 2),  # the fastest over trained vectors
    *_variants(2, 2, usual="heavy"),
    *_variants(2, 1, usual="heavy"),  # codes of two dims never get there
    *_variants(4, 1),
    *_variants(8, 2),
    *(variant for times in (2, 4) for variant in _variants(times, 2, soar=True)),
    *(variant for times in (2, 4) for variant in _variants(times, 1, soar=True)),
)


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
        training_sample_size=min(len(items_NM), max(SAMPLE, PER_LEAF * leaves)),
        soar_lambda=variant.build.get("soar"),
    )
    dims = int(variant.build["dims"])
    builder.score_ah(dims, anisotropic_quantization_threshold=0.2).reorder(300)
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
