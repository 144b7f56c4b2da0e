"""FAISS's short codes, refined by fp16 vectors: 4-bit product quantization and RaBitQ, both in
fast-scan layout, in cells of the factory's spherical k-means.

How many times k are refined is a variant; effort is cells. Codes are of one dim or of two.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import cast

import faiss

from index_builder.bench.contenders.contender import Floats, Given, Options, Rows, Usual, Variant
from index_builder.bench.contenders.faiss_factory import FILE, write_inverted
from index_builder.cells import visiting

LIBRARY = "faiss-cpu"
EFFORT = "cells visited (nprobe)"
REFINED = {"PQ64x4fsr": (1.5, 3, 10), "PQ32x4fsr": (4, 10, 40), "RaBitQfs": (10, 40)}


def _variants(times: int, codes: str, *, usual: Usual = "") -> tuple[Variant, ...]:
    build: Options = {"cells": times, "codes": codes}
    return tuple(
        Variant(f"IVF{times}√N,{codes}, refine {n:g}k", build, {"refined": n}, usual=usual)
        for n in REFINED[codes]
    )


VARIANTS = (
    *_variants(4, "PQ64x4fsr"),
    *_variants(2, "PQ64x4fsr", usual="heavy"),
    *_variants(8, "PQ64x4fsr"),
    *_variants(4, "PQ32x4fsr"),
    *_variants(4, "RaBitQfs"),
)


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Train and add."""
    codes = f"{variant.build['codes']},Refine(SQfp16)"
    return write_inverted(given, float(variant.build["cells"]), codes, directory)


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
