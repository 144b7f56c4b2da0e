"""Search over the items of one index: k rows of largest inner product with a scaled query.

Decisions
- The FAISS file is memory-mapped, so that worker processes share one copy of it.
- Effort (cells visited) is looked up for the weights and list length of each request; an exact
  index has none.
- Exclusions: fetch that many more, then drop them. Few items are excluded, and this keeps the inner
  loop of the search free of a test per item. A list that comes back short although more items
  exist (small cells) is searched again with doubled effort, at last over all cells.
- Lists longer than the builder measured visit every cell; exclusions alone never cause that.

Dimension letters: M vector dims, N items, K retrieved, S stages, X excluded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from bundle.effort import EffortMap
from bundle.errors import DimensionMismatchError
from bundle.store import Index

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class ItemIndex:
    """A FAISS index with its ids and vectors; row = FAISS id. Safe to search from many threads."""

    faiss_index: faiss.Index
    effort: EffortMap | None
    ids_N: NDArray[np.bytes_]
    vectors_NM: Floats

    def search(
        self, query_M: Floats, weights_S: NDArray[np.float64], k: int, excluded_X: Rows
    ) -> tuple[Rows, Floats]:
        """Rows [K] and scores [K], best first; K = min(k, items that are not excluded).

        `excluded_X` must be distinct rows.
        """
        wanted = min(k, len(self.ids_N) - len(excluded_X))
        fetch = wanted + len(excluded_X)
        if wanted <= 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        for parameters in self._efforts(weights_S, k, fetch):
            scores_1K, rows_1K = self.faiss_index.search(query_M[None], fetch, params=parameters)
            keep_K = (rows_1K[0] >= 0) & ~np.isin(rows_1K[0], excluded_X)
            rows_K, scores_K = rows_1K[0][keep_K][:wanted], scores_1K[0][keep_K][:wanted]
            if len(rows_K) == wanted:
                break
        return rows_K, scores_K

    def rows_of(self, item_ids: Sequence[str]) -> Rows:
        """Distinct rows of the ids that exist, by binary search; unknown ids are left out."""
        keys = {item_id.encode("utf-8", "surrogatepass") for item_id in item_ids}
        longest = self.ids_N.dtype.itemsize
        keys_X = np.asarray(
            [key for key in keys if 0 < len(key) <= longest], dtype=self.ids_N.dtype
        )
        rows_X = np.minimum(np.searchsorted(self.ids_N, keys_X), len(self.ids_N) - 1)
        found_X: Rows = rows_X[self.ids_N[rows_X] == keys_X]
        return found_X

    def ids_of(self, rows_K: Rows) -> list[str]:
        """Item ids of rows."""
        return [item_id.decode() for item_id in self.ids_N[rows_K].tolist()]

    def _efforts(
        self, weights_S: NDArray[np.float64], k: int, fetch: int
    ) -> Iterator[faiss.SearchParameters | None]:
        """The measured effort, then doublings of it up to all cells."""
        if self.effort is None:
            yield None
            return
        longest = self.effort.k[-1]
        cells = self.effort.lookup(weights_S, fetch if k > longest else min(fetch, longest))
        yield _visiting(cells)
        while cells < self.effort.cells:
            cells = min(2 * cells, self.effort.cells)
            yield _visiting(cells)


def _visiting(cells: int) -> faiss.SearchParameters:
    parameters = faiss.SearchParametersIVF()
    parameters.nprobe = cells
    return parameters


def open_index(files: Index) -> ItemIndex:
    """Map the files of a verified index.

    Raises DimensionMismatchError for an index of another shape or metric than the arrays beside
    it, RuntimeError if FAISS cannot read its file.
    """
    mapped = faiss.read_index(str(files.faiss_file), faiss.IO_FLAG_MMAP_IFC)
    shape = (mapped.ntotal, mapped.d)
    if shape != files.item_vectors_NM.shape or mapped.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise DimensionMismatchError(
            files.faiss_file.name,
            "",
            expected=f"an inner-product index of {files.item_vectors_NM.shape}",
            found=f"metric {mapped.metric_type} of {shape}",
        )
    return ItemIndex(mapped, files.manifest.effort, files.item_ids_N, files.item_vectors_NM)
