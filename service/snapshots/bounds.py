"""How large a catalogue must be to be served: a guard against one cut off or mixed up on the way.

Decisions
- Two bounds are absolute. The third holds the new ids against those served now: a pair of the right
  size with another shop's items is as wrong as one that lost half of them.
- What changes since an index was built may take from it is bounded alike.
- The share that a pair may lack is of ids, not of counts, and costs one pass over sorted ids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.delta import Delta
from service.retrieval.rows import find_rows

Ids = NDArray[np.bytes_]


class SizeError(Exception):
    """A pair with too few items, too many, or too few of those served now."""


@dataclass(frozen=True)
class SizeBounds:
    """What a new pair must keep to; `max_items` 0 is no bound."""

    min_items: int = 1
    max_items: int = 0
    max_shrink: float = 1.0

    def check(self, name: str, ids_N: Ids, served_ids_N: Ids | None) -> None:
        """Hold a pair against the bounds and the sorted ids served now. Raises SizeError."""
        self._check_count(name, len(ids_N))
        if served_ids_N is not None:
            self._check_lacking(name, share_lacking(ids_N, served_ids_N), len(served_ids_N))

    def check_delta(self, name: str, delta: Delta, ids_N: Ids) -> None:
        """Hold an index with a delta against the bounds and its own sorted ids. SizeError."""
        removed, replaced = (
            len(find_rows(ids_N, ids)) for ids in (delta.removed_ids_R, delta.item_ids_D)
        )
        self._check_count(name, len(ids_N) - removed - replaced + len(delta.item_ids_D))
        self._check_lacking(name, removed / len(ids_N), len(ids_N))

    def _check_count(self, name: str, items: int) -> None:
        if items < self.min_items:
            raise SizeError(f"{name}: expected at least {self.min_items} items, found {items}")
        if self.max_items and items > self.max_items:
            raise SizeError(f"{name}: expected at most {self.max_items} items, found {items}")

    def _check_lacking(self, name: str, lacking: float, served: int) -> None:
        if lacking > self.max_shrink:
            raise SizeError(
                f"{name}: expected at most {self.max_shrink:.1%} of the {served} items "
                f"served now to be missing, found {lacking:.1%}; if that is meant, start with a "
                "larger --max-shrink, or pin the pair"
            )


def share_lacking(ids_N: Ids, served_ids_N: Ids) -> float:
    """Share of the ids served now that a new pair lacks; both sorted."""
    rows_N = np.minimum(np.searchsorted(ids_N, served_ids_N), len(ids_N) - 1)
    return float(np.mean(ids_N[rows_N] != served_ids_N))
