"""The rows that pass a filter, in the forms that a search can use, kept for the next equal filter.

Decisions
- A row may be asked for by its bit (in the loop over a cell) or be scanned from a list. The list is
  kept only where a scan could ever pay; see index.py for which of the two is used.
- Of an inverted file only the cells that hold a passing row are visited. Where attribute and
  vectors go together (one category, one cluster) the nearest cells hold nothing that passes, and
  effort would be spent on them: recall fell to 0.4 for a filter that passes 1 % without this.
- Items that share a vector (bundle/copies.py) are found as a group, so a group has a bit too: it
  passes when one of its rows does, and brings only those that do.
- A few filters make up most traffic ("in stock"), so the last ones are kept, up to KEPT_BYTES. Up
  to KEPT as well: of a small catalogue, what a filter was asked with takes more than its rows.

Dimension letters: N items, C cells, G groups, P rows that pass, X rows asked about.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache

import faiss
import numpy as np
from numpy.typing import NDArray

from bundle.copies import Copies

Rows = NDArray[np.int64]
KEPT, KEPT_BYTES = 1000, 32 * 2**20
LARGEST_SCANNED = 0.25  # of all rows: a longer list is never scanned


@dataclass(frozen=True)
class Cells:
    """Of an inverted file: the cell of each row, the rows of each cell, and rows that are one."""

    of_rows_N: NDArray[np.int32]
    sizes_C: NDArray[np.int64]
    copies: Copies | None = None

    @classmethod
    def of(cls, inverted: faiss.IndexIVF, copies: Copies | None = None) -> Cells:
        """Read from the lists of the file."""
        lists: faiss.InvertedLists = inverted.invlists  # type: ignore[assignment]  # it has them
        sizes_C = np.array([lists.list_size(cell) for cell in range(inverted.nlist)], np.int64)
        ids = copies.items + len(copies.sizes_G) if copies else inverted.ntotal
        cells = np.empty(ids, np.int32)
        for cell, size in enumerate(sizes_C.tolist()):
            cells[faiss.rev_swig_ptr(lists.get_ids(cell), size)] = cell
        if copies is None:
            return cls(cells, sizes_C)
        cells_N, cells_G = np.split(cells, [copies.items])
        cells_N[copies.rows_R] = np.repeat(cells_G, copies.sizes_G)
        return cls(cells_N, np.bincount(cells_N, minlength=len(sizes_C)), copies)


@dataclass(frozen=True)
class Passing:
    """Rows that pass, and the cells that hold them."""

    count: int
    rows_P: Rows | None  # None: too many to scan
    bits_N: NDArray[np.uint8]  # one bit per row, lowest first; then one per group of copies
    cells: int  # that hold a row that passes; 0 where the index has no cells
    clustering: float  # 0: the same share of each cell passes; 1: all of a cell or nothing
    rows_selector: faiss.IDSelectorBitmap
    cells_selector: faiss.SearchParameters | None
    copies: Copies | None = None  # those that pass
    beside_D: NDArray[np.bool_] | None = None  # which items of a delta pass; see fresh.py

    @classmethod
    def of(cls, passes_N: NDArray[np.bool_], cells: Cells | None) -> Passing:
        """From one boolean per row."""
        copies = cells.copies.among(passes_N) if cells and cells.copies else None
        findable = np.append(passes_N, copies.sizes_G > 0) if copies else passes_N
        rows_P, bits_N = np.flatnonzero(passes_N), np.packbits(findable, bitorder="little")
        listed_P = rows_P if len(rows_P) <= LARGEST_SCANNED * len(passes_N) else None
        if cells is None:
            return cls(len(rows_P), listed_P, bits_N, 0, 0.0, _selector(bits_N), None)
        counts_C = np.bincount(cells.of_rows_N[rows_P], minlength=len(cells.sizes_C))
        holding = faiss.SearchParameters()
        holding.sel = _selector(np.packbits(counts_C > 0, bitorder="little"))
        return cls(
            count=len(rows_P),
            rows_P=listed_P,
            bits_N=bits_N,
            cells=int(np.count_nonzero(counts_C)),
            clustering=_clustering(counts_C, cells.sizes_C),
            rows_selector=_selector(bits_N),
            cells_selector=holding,
            copies=copies,
        )

    @property
    def nbytes(self) -> int:
        """Memory held, but for the bits of cells and the number of each group."""
        listed = 0 if self.rows_P is None else self.rows_P.nbytes
        return self.bits_N.nbytes + listed + (self.copies.rows_R.nbytes if self.copies else 0)

    def rows(self) -> Rows:
        """All of them, however many."""
        if self.rows_P is not None:
            return self.rows_P
        rows = np.flatnonzero(np.unpackbits(self.bits_N, bitorder="little"))
        return rows[: self.count]  # without the groups, whose bits come last

    def among(self, rows_X: Rows) -> Rows:
        """Those of the rows that pass."""
        bits_X = self.bits_N[rows_X >> 3] >> (rows_X & 7).astype(np.uint8)
        passing_X: Rows = rows_X[(bits_X & 1).astype(bool)]
        return passing_X

    def testing(self) -> faiss.SearchParameters:
        """A search that tests every row, of an index without cells."""
        parameters = faiss.SearchParameters()
        parameters.sel = self.rows_selector
        return parameters

    def visiting(self, cells: int) -> faiss.SearchParameters:
        """A search of so many of the cells that hold something."""
        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = cells
        parameters.sel = self.rows_selector
        parameters.quantizer_params = self.cells_selector
        return parameters


class PassingCache:
    """The filters used last. Safe to use from many threads; two may compute the same one."""

    def __init__(self, most: int = KEPT, limit: int = KEPT_BYTES) -> None:
        self._most, self._limit, self._bytes = most, limit, 0
        self._kept: OrderedDict[Hashable, Passing] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Passing]) -> Passing:
        """What is kept under the key, or else is made now and kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._bytes += made.nbytes
            while self._bytes > self._limit or len(self._kept) > self._most:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return made


@lru_cache
def visiting(cells: int) -> faiss.SearchParametersIVF:
    """A search of so many cells; kept, as a new one takes longer to make than a cell to visit."""
    parameters = faiss.SearchParametersIVF()
    parameters.nprobe = cells
    return parameters


def _clustering(counts_C: NDArray[np.int64], sizes_C: NDArray[np.int64]) -> float:
    """Variance over rows of their cell's passing share, as a part of the largest it could be."""
    share = counts_C.sum() / sizes_C.sum()
    if not 0 < share < 1:
        return 0.0
    shares_C = counts_C / np.maximum(sizes_C, 1)
    spread = np.average(np.square(shares_C - share), weights=sizes_C)
    return float(spread / (share * (1 - share)))


def _selector(bits: NDArray[np.uint8]) -> faiss.IDSelectorBitmap:
    return faiss.IDSelectorBitmap(bits)  # type: ignore[arg-type,call-arg]  # wrapped: takes arrays
