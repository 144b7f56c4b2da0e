"""Every item is scored: FAISS's flat index, mapped. Effort has no meaning."""

from __future__ import annotations

from pathlib import Path

import faiss

from index_builder.bench.contenders.contender import Floats, Given, Rows, Variant
from index_builder.codes import BLOCK

LIBRARY = "faiss-cpu"
EFFORT = "none: all items"
VARIANTS = (Variant("flat"),)
FILE = "items.faiss"


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Copy the vectors."""
    items_NM = given.read_items()
    index = faiss.IndexFlatIP(items_NM.shape[1])
    for start in range(0, len(items_NM), BLOCK):
        index.add(items_NM[start : start + BLOCK])
    faiss.write_index(index, str(directory / FILE))
    return {}


class Exact:
    """A scan."""

    most = 1

    def __init__(self, index: faiss.Index) -> None:
        self.index = index

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """All items, whatever the effort."""
        rows_K: Rows = self.index.search(query_M[None], k)[1][0]
        return rows_K


def open_index(given: Given, variant: Variant, directory: Path) -> Exact:
    """Map the file."""
    return Exact(faiss.read_index(str(directory / FILE), faiss.IO_FLAG_MMAP_IFC))
