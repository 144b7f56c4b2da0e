"""Items whose vectors are identical, so that an inverted file holds their vector once.

Decisions
- Many items that share a vector are what real catalogues have: items of which nothing is known yet.
  They lie in one cell, and every search that visits it would score one vector thousands of times.
- A group of such items has an id of its own in the FAISS file: N + its number. So what was found
  says by itself whether it is a group, and a list without groups costs one comparison.
- In a list the items of a group follow each other, at equal scores, by row.
- One array of pairs (group, row) is all that is stored, and an index without groups has none.

    rows_K, scores_K = copies.expanded(ids_K, scores_K, most=k)
    copies = read_copies(directory, listed, items)      # None where an index has none

Dimension letters: N items, G groups, R rows that are in a group, K found.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle import errors
from bundle.files import load_array

COPIES = "copies.npy"
Rows = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Copies:
    """Rows of equal vectors: those of group g are `rows_R[starts_G1[g] : starts_G1[g + 1]]`."""

    items: int  # N
    starts_G1: Rows
    rows_R: NDArray[np.int32]

    @property
    def sizes_G(self) -> Rows:
        """Rows per group."""
        return np.diff(self.starts_G1)

    @property
    def spared(self) -> int:
        """Vectors that the FAISS file need not hold."""
        return len(self.rows_R) - len(self.sizes_G)

    def first_rows(self, ids_K: Rows) -> Rows:
        """A row for each FAISS id: of a group its first one."""
        grouped_K, rows_K = ids_K >= self.items, ids_K.copy()
        rows_K[grouped_K] = self.rows_R[self.starts_G1[ids_K[grouped_K] - self.items]]
        return rows_K

    def expanded(self, ids_K: Rows, scores_K: Floats, most: int) -> tuple[Rows, Floats]:
        """Rows in place of the FAISS ids, with their scores: the first `most` of them."""
        grouped_K = ids_K >= self.items
        if not grouped_K.any():
            return ids_K, scores_K
        groups_K = np.where(grouped_K, ids_K - self.items, 0)
        starts_K = self.starts_G1[groups_K]
        sizes_K = np.where(grouped_K, self.starts_G1[groups_K + 1] - starts_K, 1)
        ends_K = np.cumsum(sizes_K)
        needed = int(np.searchsorted(ends_K, most)) + 1
        places = np.repeat(np.arange(len(ids_K))[:needed], sizes_K[:needed])[:most]
        within = np.arange(len(places)) - (ends_K - sizes_K)[places]
        rows, grouped = ids_K[places], grouped_K[places]
        rows[grouped] = self.rows_R[(starts_K[places] + within)[grouped]]
        return rows, scores_K[places]

    def among(self, passes_N: NDArray[np.bool_]) -> Copies:
        """The same groups, with those of their rows that pass."""
        passes_R = passes_N[self.rows_R]
        before_R1 = np.append(0, np.cumsum(passes_R))
        return Copies(self.items, before_R1[self.starts_G1], self.rows_R[passes_R])


def write_copies(directory: Path, copies: Copies | None) -> None:
    """Write copies.npy; nothing where there are no groups."""
    if copies:
        groups_R = np.repeat(np.arange(len(copies.sizes_G)), copies.sizes_G)
        np.save(directory / COPIES, np.stack([groups_R, copies.rows_R], axis=1).astype(np.int32))


def copies_files(directory: Path) -> list[str]:
    """Names of the files that write_copies left in `directory`, for its manifest."""
    return [COPIES] if (directory / COPIES).exists() else []


def read_copies(directory: Path, listed: Collection[str], items: int) -> Copies | None:
    """The groups of a directory whose manifest lists these files, mapped; None if it has none.

    Raises a BundleError for an array of another type or shape, and for groups or rows out of order.
    """
    if COPIES not in listed:
        return None
    pairs_R2 = load_array(directory / COPIES, "i4", (None, 2))
    groups_R, rows_R = pairs_R2[:, 0], pairs_R2[:, 1]
    begins_R = np.diff(groups_R, prepend=-1)
    starts_G1 = np.append(np.flatnonzero(begins_R), len(groups_R))
    counted_R = (groups_R >= 0) & (begins_R >= 0) & (begins_R <= 1)
    _require(counted_R, pairs_R2, "groups counted from 0, in order")
    _require(np.diff(starts_G1) >= 2, pairs_R2[starts_G1[:-1]], "a group of two rows or more")
    _require((rows_R >= 0) & (rows_R < items), pairs_R2, f"a row of the {items} there are")
    after_R = np.diff(rows_R, prepend=-1) > 0
    _require((begins_R == 1) | after_R, pairs_R2, "the rows of a group in order")
    order_R = np.argsort(rows_R, kind="stable")
    first_R = np.diff(rows_R[order_R], prepend=-1) > 0
    _require(first_R, pairs_R2[order_R], "a row that is in no other group")
    return Copies(items, starts_G1, rows_R)


def _require(holds: NDArray[np.bool_], pairs: NDArray[Any], expected: str) -> None:
    """Refuse the first pair [group, row] of which something does not hold."""
    if not holds.all():
        group, row = pairs[int(np.argmin(holds))].tolist()
        raise errors.InvalidArrayError(
            COPIES, f"group {group}", expected=expected, found=f"row {row} there"
        )
