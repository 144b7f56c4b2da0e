"""The forms in which a column of raw values may come; the encoding of all of them is the same.

- A sequence of Python values, None where one is missing: what a request holds.
- A numpy array of numbers [B], or of vectors [B, D], in which none is missing.
- Coded: each distinct category is looked up once, however many rows have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Coded(Sequence[Any]):
    """Values by their place among the distinct ones of a column; -1 is a missing one."""

    distinct: Sequence[Any]
    places_B: NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.places_B)

    def __getitem__(self, row: Any) -> Any:  # noqa: ANN401  (a sequence of anything)
        place = self.places_B[row]
        return None if place < 0 else self.distinct[place]

    @property
    def parts(self) -> tuple[Sequence[Any], NDArray[np.integer]]:
        """The distinct values, with None as the last one, and the place of each row's."""
        return [*self.distinct, None], self.places_B


Column = Sequence[Any] | NDArray[Any]


def is_numbers(column: Column) -> TypeGuard[NDArray[Any]]:
    """Whether a column is an array of numbers."""
    return isinstance(column, np.ndarray) and column.dtype.kind in "fiu"
