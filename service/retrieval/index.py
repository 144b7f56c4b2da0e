"""Search over the items of one index: k rows of largest inner product with a scaled query.

Decisions
- The FAISS file is memory-mapped, so that worker processes share one copy of it.
- Effort (cells visited) is looked up for the weights and list length of each request; an exact
  index has none.
- Exclusions: fetch that many more, then drop them. Few items are excluded, and this keeps the inner
  loop of the search free of a test per item. A list that comes back short although more items
  exist (small cells) is searched again with doubled effort, at last over all cells.
- Under pressure a search visits a share of these cells, as far as the operator's floor of recall
  allows; exact scans, of all rows or of those that pass a filter, are never cut short.
- An inverted file of short codes is searched for more, scored again; see bundle/codes.py. FAISS's
  scan of 4 bits returns nothing whose score is the least it can say: if a list is short of such
  items after all cells, and for a query of zeros at once, rows are scanned instead.
- Lists longer than the builder measured visit every cell; exclusions alone never cause that.
- Filters: see effort.py for how many cells hold the recall. Where those hold more rows than pass
  (times what a row costs in a scan), the rows that pass are scanned instead, exactly.

Dimension letters: M vector dims, N items, K retrieved, S stages, X excluded, P rows that pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from bundle.codes import Codes, codes_of, fetched, inverted_in, is_short, rescored
from bundle.copies import Copies
from bundle.effort import EffortMap, reduced_cells
from bundle.errors import DimensionMismatchError
from bundle.faiss_file import open_faiss
from bundle.store import Index
from service.retrieval.effort import FULL, Effort, filtered_cells, share_of_cells
from service.retrieval.filters import Columns, Condition, compile_filter, evaluate
from service.retrieval.passing import Cells, Passing, PassingCache, visiting
from service.retrieval.rows import Floats, Rows, best_first, find_rows, keys_of

Strategy = Literal["all", "cells", "scan", "none"]  # every row, cells, the rows that pass, no row
BRIEF = 6_400_000  # components of vectors that are scanned in a few milliseconds
SCAN_COST = 5.0  # of a row scanned by its number, against one tested in its cell; see scan_cost.py


@dataclass(frozen=True)
class Found:
    """What a search found, best first, and what it took."""

    rows_K: Rows
    scores_K: Floats
    strategy: Strategy
    cells: int = 0  # visited
    attempts: int = 1  # the last one found enough
    candidates: int = 0  # items that pass the filter; without one, all
    effort: float = 1.0  # share of the cells that recall needs; 1 where all rows were scored


@dataclass(frozen=True)
class ItemIndex:
    """A FAISS index with its ids and vectors; row = FAISS id, but for copies.

    Safe to search from many threads.
    """

    faiss_index: faiss.Index
    effort: EffortMap | None
    ids_N: NDArray[np.bytes_]
    vectors_NM: Floats
    attributes: Columns = field(default_factory=dict)
    cells: Cells | None = None  # of an inverted file that has attributes
    position: int = 0  # of the journal of changes
    filters: PassingCache = field(default_factory=PassingCache)
    beside: int = 0  # items outside of the index; see fresh.py
    copies: Copies | None = None  # rows that an inverted file holds as one
    codes: Codes = "float32"  # of which short ones are fetched in plenty, and scored again

    def search(
        self,
        query_M: Floats,
        weights_S: NDArray[np.float64],
        k: int,
        excluded_X: Rows,
        passing: Passing | None = None,
        effort: Effort = FULL,
        spare: int = 0,
    ) -> Found:
        """The best min(k + spare, rows that pass and are not excluded) rows.

        `excluded_X` must be distinct rows. `spare` rows are like exclusions that nobody can name.
        """
        if passing:
            excluded_X = passing.among(excluded_X)
        candidates = passing.count if passing else len(self.ids_N)
        wanted, beyond = min(k + spare, candidates - len(excluded_X)), len(excluded_X) + spare
        if wanted <= 0:
            nothing = np.empty(0, np.int64), np.empty(0, np.float32)
            return Found(*nothing, "none", attempts=0, candidates=candidates)
        attempts, share = 0, self._share(weights_S, k, beyond, candidates, effort)
        fetch = min(k + beyond, candidates)
        searches = self._attempts(query_M, weights_S, k, fetch, passing, share)
        for found in chain(searches, self._left_out(query_M, fetch, passing)):
            attempts += 1
            keep_K = found.rows_K >= 0
            if len(excluded_X):
                keep_K &= ~np.isin(found.rows_K, excluded_X)
            kept_K = np.flatnonzero(keep_K)[:wanted]
            if len(kept_K) == wanted:
                break
        rows_K, scores_K = found.rows_K[kept_K], found.scores_K[kept_K]
        spent = min(1.0, share * 2 ** (attempts - 1)) if found.strategy == "cells" else 1.0
        return Found(rows_K, scores_K, found.strategy, found.cells, attempts, candidates, spent)

    def brief(self, k: int, beside: int = 0) -> bool:
        """Whether a search takes milliseconds at most: it scans few items, and measured cells."""
        scanned = beside + (0 if self.effort else len(self.ids_N))
        measured = self.effort is None or k <= self.effort.k[-1]
        return measured and scanned * self.vectors_NM.shape[1] <= BRIEF

    def passing(self, conditions: Sequence[Condition]) -> Passing | None:
        """The rows that meet all conditions; None without any. Raises FilterError."""
        if not conditions:
            return None
        tests = compile_filter(self.attributes, conditions)
        return self.filters.get(
            tests, lambda: Passing.of(evaluate(self.attributes, tests), self.cells)
        )

    def rows_of(self, item_ids: Sequence[str]) -> Rows:
        """Distinct rows of the ids that exist; unknown ids are left out."""
        return find_rows(self.ids_N, keys_of(item_ids))

    def ids_of(self, rows_K: Rows) -> list[str]:
        """Item ids of rows; decoded at once, unless one holds a NUL."""
        keys = self.ids_N[rows_K].tolist()
        found: list[str] = b"\0".join(keys).decode().split("\0")
        return found if len(found) == len(keys) else [key.decode() for key in keys]

    def vectors_of(self, rows_K: Rows) -> Floats:
        """Vectors [K, M] of rows."""
        return self.vectors_NM[rows_K]

    def _attempts(
        self,
        query_M: Floats,
        weights_S: NDArray[np.float64],
        k: int,
        fetch: int,
        passing: Passing | None,
        share: float,
    ) -> Iterator[Found]:
        """Lists of so many, at a share of the effort that should do for k, and doublings."""
        if self.codes == "int4" and not query_M.any():
            return
        if passing is None:
            for cells in self._efforts(weights_S, k, fetch, share):
                parameters = visiting(cells) if cells else None
                yield self._visit(query_M, fetch, cells, parameters, self.copies)
            return
        enough = self._filtered_cells(weights_S, k, fetch, passing, measured=share < 1)
        cells = reduced_cells(enough, share)
        visited = self.faiss_index.ntotal * (cells / self.effort.cells if self.effort else 1)
        if passing.rows_P is not None and SCAN_COST * passing.count <= visited:
            yield Found(*self.scan(query_M, fetch, passing.rows_P), "scan")
        elif self.effort is None:
            yield self._visit(query_M, fetch, 0, passing.testing(), None)
        else:
            for more in _doublings(cells, passing.cells):
                selecting = passing.visiting(more)
                yield self._visit(query_M, fetch, more, selecting, passing.copies)

    def _left_out(self, query_M: Floats, fetch: int, passing: Passing | None) -> Iterator[Found]:
        """What the scan of 4 bits does not return, with all else."""
        if self.codes == "int4":
            rows_P = passing.rows() if passing else np.arange(len(self.ids_N))
            rows_P = rows_P if query_M.any() else rows_P[:fetch]  # any will do
            yield Found(*self.scan(query_M, fetch, rows_P), "scan")

    def _visit(
        self,
        query_M: Floats,
        fetch: int,
        cells: int,
        parameters: faiss.SearchParameters | None,
        copies: Copies | None,
    ) -> Found:
        most = fetched(fetch, self.codes)
        scores_1L, ids_1L = self.faiss_index.search(query_M[None], most, params=parameters)
        rows_K, scores_K = ids_1L[0], scores_1L[0]
        if is_short(self.codes):
            rows_K, scores_K = rescored(query_M, rows_K, self.vectors_NM, fetch, copies)
        if copies:
            rows_K, scores_K = copies.expanded(rows_K, scores_K, fetch)
        return Found(rows_K[:fetch], scores_K[:fetch], "cells" if cells else "all", cells)

    def scan(self, query_M: Floats, fetch: int, rows_P: Rows) -> tuple[Rows, Floats]:
        """The exact best of some rows, read where they lie: a copy of them would cost more."""
        scores_P = np.empty(len(rows_P), np.float32)
        faiss.fvec_inner_products_by_idx(  # type: ignore[attr-defined]  # not in its stubs
            faiss.swig_ptr(scores_P),
            faiss.swig_ptr(query_M),
            faiss.swig_ptr(self.vectors_NM),
            faiss.swig_ptr(rows_P),
            *(self.vectors_NM.shape[1], 1, len(rows_P)),
        )
        best_K = best_first(scores_P, fetch)
        return rows_P[best_K], scores_P[best_K]

    def _efforts(
        self, weights_S: NDArray[np.float64], k: int, fetch: int, share: float = 1.0
    ) -> Iterator[int]:
        """A share of the cells that were measured to do, then doublings; 0: there are none."""
        if self.effort is None:
            yield 0
            return
        length = self._length(k, fetch)
        cells = self.effort.lookup(weights_S, length, measured=share < 1)
        yield from _doublings(reduced_cells(cells, share), self.effort.cells)

    def _share(
        self,
        weights_S: NDArray[np.float64],
        k: int,
        beyond: int,
        candidates: int,
        wanted: Effort,
    ) -> float:
        """Of the cells that recall needs, how many to visit; as deep as candidates lie apart."""
        if self.effort is None:
            return 1.0
        length = self._length(k, min(k + beyond, candidates))
        depth = length * len(self.ids_N) / candidates
        return share_of_cells(self.effort, weights_S, depth, wanted)

    def _filtered_cells(
        self,
        weights_S: NDArray[np.float64],
        k: int,
        fetch: int,
        passing: Passing,
        *,
        measured: bool,
    ) -> int:
        if self.effort is None:
            return 0
        share, length = passing.count / len(self.ids_N), self._length(k, fetch)
        return filtered_cells(
            self.effort, weights_S, length, share, passing.clustering, measured=measured
        )

    def _length(self, k: int, fetch: int) -> int:
        """The list length to look up: what is fetched, but exclusions alone never exceed it."""
        longest = self.effort.k[-1] if self.effort else fetch
        return fetch if k > longest else min(fetch, longest)


def _doublings(cells: int, most: int) -> Iterator[int]:
    """`cells`, twice, four times … and at last `most`."""
    while cells < most:
        yield cells
        cells *= 2
    yield most


def open_index(files: Index) -> ItemIndex:
    """Map the files of a verified index.

    Raises DimensionMismatchError for an index of another shape or metric than the arrays beside
    it, RuntimeError if FAISS cannot read its file.
    """
    mapped, effort = open_faiss(files.directory), files.manifest.effort
    copies, (rows, dims) = files.copies, files.item_vectors_NM.shape
    expected = (rows - (copies.spared if copies else 0), dims, effort.cells if effort else 0)
    shape = (mapped.ntotal, mapped.d, getattr(inverted_in(mapped), "nlist", 0))
    if shape != expected or mapped.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise DimensionMismatchError(
            files.faiss_file.name,
            "",
            expected=f"an inner-product index of (vectors, dims, cells) {expected}",
            found=f"metric {mapped.metric_type} of {shape}",
        )
    columns = {column.attribute.name: column for column in files.attributes}
    return ItemIndex(
        mapped,
        effort,
        np.asarray(files.item_ids_N),  # plain arrays over the same maps: theirs are slower to index
        np.asarray(files.item_vectors_NM),
        columns,
        Cells.of(faiss.extract_index_ivf(mapped), copies) if effort and columns else None,
        files.manifest.journal_position,
        copies=copies,
        codes=codes_of(mapped),
    )
