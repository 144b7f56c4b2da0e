"""Measures SCAN_COST of index.py on the published pair: what a row that is scanned by its number
costs, against a row that is tested in its cell.

Each cost is the slope between a short and a long search, so that what every search costs is in
neither; the lower quartile of many, so that what else the machine does is in neither.

    python -m service.retrieval.scan_cost releases/
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from bundle.store import read_current, read_pair
from service.retrieval.index import ItemIndex, open_index
from service.retrieval.passing import Cells, Passing
from service.retrieval.rows import Floats

QUERIES, ROUNDS, LENGTH = 100, 5, 100
SHARES = (0.005, 0.05)  # of the rows: scanned, or in the cells visited
PASSING = 0.1  # of the rows tested
Search = Callable[[Floats], object]


def main(argv: Sequence[str]) -> int:
    """Print both costs and their ratio; the exit code."""
    releases = Path(argv[0])
    _, files = read_pair(releases, read_current(releases))
    index, queries_BM = open_index(files), files.calibration_users_CM[:QUERIES]
    if index.effort is None:
        sys.stderr.write("error: an exact index has no cells; publish an inverted file\n")
        return 2
    rng = np.random.default_rng(0)
    scanned, tested = (
        _nanoseconds(searches, queries_BM) for searches in (_scans(index, rng), _visits(index, rng))
    )
    sys.stdout.write(
        f"{len(index.ids_N):,} rows of {queries_BM.shape[1]} dims: {scanned:.0f} ns a row scanned, "
        f"{tested:.0f} ns a row tested, ratio {scanned / tested:.2f}\n"
    )
    return 0


def _scans(index: ItemIndex, rng: np.random.Generator) -> list[tuple[float, Search]]:
    def scan(rows_P: NDArray[np.int64]) -> Search:
        return lambda query_M: index.scan(query_M, LENGTH, rows_P)

    count = len(index.ids_N)
    chosen = [np.sort(rng.choice(count, round(share * count), replace=False)) for share in SHARES]
    return [(len(rows_P), scan(rows_P)) for rows_P in chosen]


def _visits(index: ItemIndex, rng: np.random.Generator) -> list[tuple[float, Search]]:
    passes_N = rng.random(len(index.ids_N)) < PASSING
    passing = Passing.of(
        passes_N, Cells.of(faiss.extract_index_ivf(index.faiss_index), index.copies)
    )

    def visit(cells: int) -> Search:
        parameters = passing.visiting(cells)
        return lambda query_M: index.faiss_index.search(query_M[None], LENGTH, params=parameters)

    chosen = [max(1, round(share * passing.cells)) for share in SHARES]
    return [(cells / passing.cells * len(passes_N), visit(cells)) for cells in chosen]


def _nanoseconds(searches: Sequence[tuple[float, Search]], queries_BM: Floats) -> float:
    """That one more row costs."""
    (few, short), (many, long) = [
        (rows, np.quantile([_seconds(search, query_M) for query_M in [*queries_BM] * ROUNDS], 0.25))
        for rows, search in searches
    ]
    return float(1e9 * (long - short) / (many - few))


def _seconds(search: Search, query_M: Floats) -> float:
    began = time.perf_counter()
    search(query_M)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
