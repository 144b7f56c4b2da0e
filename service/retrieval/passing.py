"""The rows that pass a filter, in the forms that a search can use, kept for the next equal filter.

Decisions
- A row may be asked for by its bit (in the loop over a cell) or be scanned from a list. The list is
  kept only where a scan could ever pay; see index.py for which of the two is used.
- Of an inverted file only the cells that hold a passing row are visited. Where attribute and
  vectors go together (one category, one cluster) the nearest cells hold nothing that passes, and
  effort would be spent on them: recall fell to 0.4 for a filter that passes 1 % without this.
- A few filters make up most traffic ("in stock"), so the last ones are kept, up to KEPT_BYTES.

Dimension letters: N items, C cells, P rows that pass, X rows asked about.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
KEPT_BYTES = 32 * 2**20
LARGEST_SCANNED = 0.25  # of all rows: a longer list is never scanned


@dataclass(frozen=True)
class Passing:
    """Rows that pass, and the cells that hold them."""

    count: int
    rows_P: Rows | None  # None: too many to scan
    bits_N: NDArray[np.uint8]  # one bit per row, lowest first
    cells: int  # that hold a row that passes; 0 where the index has no cells
    rows_selector: faiss.IDSelectorBitmap
    cells_selector: faiss.SearchParameters | None

    @classmethod
    def of(cls, passes_N: NDArray[np.bool_], cells_N: NDArray[np.int32] | None) -> Passing:
        """From one boolean per row, and the cell of each row."""
        rows_P, bits_N = np.flatnonzero(passes_N), np.packbits(passes_N, bitorder="little")
        few = len(rows_P) <= LARGEST_SCANNED * len(passes_N)
        cells, cells_selector = 0, None
        if cells_N is not None:
            holds_C = np.zeros(int(cells_N.max()) + 1, bool)
            holds_C[cells_N[rows_P]] = True
            cells, cells_selector = int(holds_C.sum()), faiss.SearchParameters()
            cells_selector.sel = _selector(np.packbits(holds_C, bitorder="little"))
        listed_P = rows_P if few else None
        return cls(len(rows_P), listed_P, bits_N, cells, _selector(bits_N), cells_selector)

    @property
    def nbytes(self) -> int:
        """Memory held, but for the cells' bits."""
        return self.bits_N.nbytes + (0 if self.rows_P is None else self.rows_P.nbytes)

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
        parameters.nprobe, parameters.sel = cells, self.rows_selector
        parameters.quantizer_params = self.cells_selector
        return parameters


class PassingCache:
    """The filters used last. Safe to use from many threads; two may compute the same one."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit, self._bytes = limit, 0
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
            while self._bytes > self._limit:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return made


def cells_of_rows(inverted: faiss.IndexIVF) -> NDArray[np.int32]:
    """The cell [N] of each row of an inverted file."""
    lists: faiss.InvertedLists = inverted.invlists  # type: ignore[assignment]  # a reader has them
    cells_N = np.empty(inverted.ntotal, np.int32)
    for cell in range(inverted.nlist):
        cells_N[faiss.rev_swig_ptr(lists.get_ids(cell), lists.list_size(cell))] = cell
    return cells_N


def _selector(bits: NDArray[np.uint8]) -> faiss.IDSelectorBitmap:
    return faiss.IDSelectorBitmap(bits)  # type: ignore[arg-type,call-arg]  # wrapped: takes arrays
