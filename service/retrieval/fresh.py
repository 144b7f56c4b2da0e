"""An index and what changed since it was built, searched as one.

Decisions
- Rows below N are the index's, rows from N on those of the delta; nobody else needs to know.
- New and updated items are scanned exactly, beside the search of the index: a delta is small, and
  its recall is 1. Whole builds fold it in before the scan costs much.
- Rows that are removed or updated are hidden. Few are dropped from a list that is a little longer,
  which costs next to nothing. Many, or more of a list than was thought of, are hidden by the bitmap
  that filters use: 20 ns a row visited, for such a list after the search that fell short. An index
  of which nothing is hidden is searched as ever.
- A filter is compiled for both sides, since vocabularies differ, and remembered under both.

Dimension letters: M vector dims, N rows of the index, D items of the delta, K retrieved,
X excluded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bundle.delta import Delta
from bundle.effort import EffortMap
from service.retrieval.effort import FULL, Effort
from service.retrieval.filters import Columns, Condition, compile_filter, evaluate
from service.retrieval.index import Found, ItemIndex
from service.retrieval.passing import Cells, Passing, PassingCache
from service.retrieval.rows import Floats, Rows, best_first, find_rows, keys_of

FEW = 0.01  # of the index's rows: so many hidden ones are dropped from a list
SPARE = 8  # rows of the list for them, and four times as many as there would be by chance


@dataclass(frozen=True)
class FreshIndex:
    """An index with a delta beside it; to its users, an index. Safe to search from many threads."""

    base: ItemIndex
    ids_D: NDArray[np.bytes_]
    vectors_DM: Floats
    attributes: Columns
    shown_N: NDArray[np.bool_]  # rows of the index that are as they were
    everything: Passing
    position: int
    filters: PassingCache = field(default_factory=PassingCache)

    @property
    def effort(self) -> EffortMap | None:
        """Of the index."""
        return self.base.effort

    @property
    def beside(self) -> int:
        """Items of the delta."""
        return len(self.ids_D)

    @property
    def ids_N(self) -> NDArray[np.bytes_]:
        """All ids, sorted; made when asked for."""
        return np.sort(np.concatenate([self.base.ids_N[self.shown_N], self.ids_D]))

    def search(
        self,
        query_M: Floats,
        weights_S: NDArray[np.float64],
        k: int,
        excluded_X: Rows,
        passing: Passing | None = None,
        effort: Effort = FULL,
    ) -> Found:
        """As of an index."""
        count = len(self.base.ids_N)
        old_X, new_X = excluded_X[excluded_X < count], excluded_X[excluded_X >= count] - count
        found = self._search_base(query_M, weights_S, k, old_X, passing, effort)
        passing = passing or self.everything
        passes_D = np.array(passing.beside_D)
        candidates = passing.count + int(np.count_nonzero(passes_D))
        passes_D[new_X] = False
        scores_D = self.vectors_DM @ query_M
        if len(found.rows_K) >= k:
            passes_D &= scores_D > found.scores_K[-1]
        rows_D = np.flatnonzero(passes_D)
        rows_K, scores_K = found.rows_K, found.scores_K
        if len(rows_D):
            rows_K, scores_K = (
                np.append(rows_K, count + rows_D),
                np.append(scores_K, scores_D[rows_D]),
            )
            best_K = best_first(scores_K, k)
            rows_K, scores_K = rows_K[best_K], scores_K[best_K]
        return replace(found, rows_K=rows_K, scores_K=scores_K, candidates=candidates)

    def _search_base(
        self,
        query_M: Floats,
        weights_S: NDArray[np.float64],
        k: int,
        excluded_X: Rows,
        passing: Passing | None,
        effort: Effort,
    ) -> Found:
        """The best rows of the index that are as they were."""
        asked = query_M, weights_S, k, excluded_X
        count, shown = len(self.base.ids_N), self.everything.count
        if passing:
            return self.base.search(*asked, passing, effort)
        if count - shown <= FEW * count:
            spare = 0 if shown == count else SPARE + math.ceil(4 * k * (count - shown) / count)
            found = self.base.search(*asked, None, effort, spare)
            kept_K = np.flatnonzero(self.shown_N[found.rows_K])[:k]
            if len(kept_K) == min(k, shown - len(excluded_X)):
                return replace(found, rows_K=found.rows_K[kept_K], scores_K=found.scores_K[kept_K])
            again = self.base.search(*asked, self.everything, effort)
            return replace(again, attempts=found.attempts + again.attempts)
        return self.base.search(*asked, self.everything, effort)

    def brief(self, k: int) -> bool:
        """As of the index, with what is scanned beside it."""
        return self.base.brief(k, self.beside)

    def passing(self, conditions: Sequence[Condition]) -> Passing | None:
        """The rows that meet all conditions; None without any. Raises FilterError."""
        if not conditions:
            return None
        tests = compile_filter(self.base.attributes, conditions)
        tests_beside = compile_filter(self.attributes, conditions)

        def make() -> Passing:
            passes_N = evaluate(self.base.attributes, tests) & self.shown_N
            beside_D = evaluate(self.attributes, tests_beside)
            return replace(Passing.of(passes_N, self.base.cells), beside_D=beside_D)

        return self.filters.get((tests, tests_beside), make)

    def rows_of(self, item_ids: Sequence[str]) -> Rows:
        """Distinct rows of the ids that exist; unknown and removed ids are left out."""
        if not item_ids:
            return np.empty(0, np.int64)
        keys_X = keys_of(item_ids)
        rows_X = find_rows(self.base.ids_N, keys_X)
        beside_X = len(self.base.ids_N) + find_rows(self.ids_D, keys_X)
        return np.append(rows_X[self.shown_N[rows_X]], beside_X)

    def ids_of(self, rows_K: Rows) -> list[str]:
        """Item ids of rows."""
        if not len(rows_K) or rows_K.max() < len(self.base.ids_N):
            return self.base.ids_of(rows_K)
        return [item_id.decode() for item_id in _pick(self.base.ids_N, self.ids_D, rows_K).tolist()]

    def vectors_of(self, rows_K: Rows) -> Floats:
        """Vectors [K, M] of rows."""
        return _pick(self.base.vectors_NM, self.vectors_DM, rows_K)


def _pick(base_N: NDArray[Any], beside_D: NDArray[Any], rows_K: Rows) -> NDArray[Any]:
    """Entries of two arrays as if one lay behind the other."""
    beside_K = rows_K >= len(base_N)
    picked_K = base_N[np.where(beside_K, 0, rows_K)].astype(np.result_type(base_N, beside_D))
    picked_K[beside_K] = beside_D[rows_K[beside_K] - len(base_N)]
    return picked_K


def with_delta(index: ItemIndex | FreshIndex, delta: Delta) -> FreshIndex:
    """The index, or that of another delta of it, with this delta."""
    base = index.base if isinstance(index, FreshIndex) else index
    if base.effort and base.cells is None:
        inverted = faiss.extract_index_ivf(base.faiss_index)
        base = replace(base, cells=Cells.of(inverted, base.copies))
    shown_N = np.ones(len(base.ids_N), bool)
    for changed in (delta.item_ids_D, delta.removed_ids_R):
        shown_N[find_rows(base.ids_N, changed)] = False
    everything = Passing.of(shown_N, base.cells)
    return FreshIndex(
        base=base,
        ids_D=delta.item_ids_D,
        vectors_DM=delta.item_vectors_DM,
        attributes={column.attribute.name: column for column in delta.attributes},
        shown_N=shown_N,
        everything=replace(everything, beside_D=np.ones(len(delta.item_ids_D), bool)),
        position=delta.manifest.position,
    )
