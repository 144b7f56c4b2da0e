"""Three searches with fusion: what a vector database does for several weighted objectives.

Each segment has an index of its own and a list of the same length is asked of each; an item's ranks
in them, or its whole score computed anew, decide. Effort is the length of the lists.

Decisions
- The indexes are inverted files like ours, and a list visits 32 times as many items as it is long
  (a list of 500 for recall 0.95 of whole vectors takes some 60 times): shorter vectors are easier.
- Ranks are fused by 1 / (60 + rank) times the weight. Weights are in the query already, so the
  weight is the length of the query's segment; of a segment that weighs nothing no list is asked.
- Whole scores come from the vectors that lie beside every index. They are not counted in its bytes.
- Half as many visits are a variant of their own.

Dimension letters: N items, M dims, L length of a list, X distinct items of all lists, K answers.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import cast

import faiss
import numpy as np

from bundle.codes import rescored
from bundle.segments import Segments
from index_builder.bench.contenders.contender import Floats, Given, Options, Rows, Variant
from index_builder.cells import fill_cells, train_centroids, visiting
from index_builder.progress import Progress
from index_builder.space import space_as_it_is

LIBRARY = "faiss-cpu"
EFFORT = "length of each list"
VARIANTS = (
    Variant("lists rescored", {}, {"fusion": "scores", "visited": 32}, reads_items=True),
    Variant(
        "lists rescored, half the visits",
        {},
        {"fusion": "scores", "visited": 16},
        reads_items=True,
    ),
    Variant("reciprocal ranks", {}, {"fusion": "ranks", "visited": 32}),
)
DAMPING = 60  # of reciprocal ranks: the usual constant
MOST = 4096


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """An inverted file a segment."""
    items_NM = given.read_items()
    for name, part in zip(given.segments.names, given.segments.slices, strict=True):
        part_NM = np.ascontiguousarray(items_NM[:, part])
        space = space_as_it_is(part_NM.shape[1])
        centroids_CM = train_centroids(part_NM, space, seed=0)
        progress = Progress(f"fill {name}", "items", 2 * len(part_NM))
        inverted = fill_cells(part_NM, space, centroids_CM, progress)
        faiss.write_index(inverted.faiss_index, str(directory / f"{name}.faiss"))
    return {}


class FusedLists:
    """An index a segment."""

    most = MOST

    def __init__(
        self, indexes: list[faiss.IndexIVF], segments: Segments, items_NM: Floats, search: Options
    ) -> None:
        self.indexes, self.slices, self.items_NM = indexes, segments.slices, items_NM
        self.visited = int(search["visited"])  # items, for one of a list
        self.fuse = self._by_scores if search["fusion"] == "scores" else self._by_ranks

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """A list of max(k, effort) of each segment, fused."""
        lists, weights = [], []
        length = max(k, effort)
        for index, part in zip(self.indexes, self.slices, strict=True):
            weight = float(np.linalg.norm(query_M[part]))
            if weight > 0:
                cells = min(index.nlist, 1 + self.visited * length * index.nlist // index.ntotal)
                found_1L = index.search(query_M[None, part], length, params=visiting(cells))[1]
                lists.append(found_1L[0][found_1L[0] >= 0])
                weights.append(weight)
        return self.fuse(query_M, lists, weights, k)

    def _by_scores(self, query_M: Floats, lists: list[Rows], _: list[float], k: int) -> Rows:
        rows_X = np.unique(np.concatenate(lists))
        return rescored(query_M, rows_X, self.items_NM, k, None)[0]

    def _by_ranks(self, _: Floats, lists: list[Rows], weights: list[float], k: int) -> Rows:
        rows_X, places = np.unique(np.concatenate(lists), return_inverse=True)
        gains = [
            weight / (DAMPING + np.arange(1, len(rows) + 1))
            for rows, weight in zip(lists, weights, strict=True)
        ]
        best_X: Rows = rows_X[np.argsort(-np.bincount(places, np.concatenate(gains)))]
        return best_X[:k]


@cache
def _read(path: Path) -> faiss.IndexIVF:
    return cast("faiss.IndexIVF", faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC))


def open_index(given: Given, variant: Variant, directory: Path) -> FusedLists:
    """Variants share their files."""
    indexes = [_read(directory / f"{name}.faiss") for name in given.segments.names]
    return FusedLists(indexes, given.segments, given.read_items(), variant.search)
