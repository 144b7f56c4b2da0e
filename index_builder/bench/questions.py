"""Queries under many weights, and the recall of whatever rows somebody found for them.

Decisions
- Recall is that of the effort map: the share of a list that scores no less than the last item of
  the exact list, so that ties are fair; the mean over users, for each direction of weights apart.
- All contenders are asked the same queries and judged by the same exact scores.

Dimension letters: U users, G directions, S stages, Q = G·U queries, M dims, K list, N items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.scoring import scale_query
from index_builder.bench.contenders.contender import Floats, Given, Rows
from index_builder.calibrate import recall_by_score
from index_builder.progress import Progress
from index_builder.truth import exact_lists


@dataclass(frozen=True)
class Questions:
    """One query of each user in each direction, directions one after the other."""

    directions_GS: NDArray[np.float64]
    users: int
    queries_QM: Floats
    scores_QK: Floats
    items_NM: Floats

    def of(self, direction: int) -> slice:
        """Its queries."""
        return slice(direction * self.users, (direction + 1) * self.users)

    def recall(self, direction: int, rows_UK: Rows) -> float:
        """Of what was found for a direction's queries; the list length is that of the rows."""
        here = self.of(direction)
        scores_UK = self.scores_QK[here, : rows_UK.shape[1]]
        return recall_by_score(rows_UK, scores_UK, self.queries_QM[here], self.items_NM)

    def mixed(self, count: int) -> Rows:
        """Places of so many queries, spread over directions and users."""
        places = np.arange(len(self.queries_QM)).reshape(len(self.directions_GS), self.users)
        turned = [np.roll(each, -3 * direction) for direction, each in enumerate(places)]
        mixed: Rows = np.stack(turned, axis=1).ravel()[:count]
        return mixed


def ask(
    given: Given, users_UM: Floats, directions_GS: NDArray[np.float64], lengths: Sequence[int]
) -> Questions:
    """All users under all weights, and their exact scores up to the longest list."""
    items_NM = given.read_items()
    queries_QM = np.concatenate(
        [scale_query(users_UM, weights_S, given.segments) for weights_S in directions_GS]
    )
    progress = Progress("exact lists", "items", len(items_NM))
    exact = users_UM, items_NM, directions_GS, given.segments, max(lengths), progress
    scores_QK = np.concatenate(exact_lists(*exact)[1].swapaxes(0, 1))
    return Questions(directions_GS, len(users_UM), queries_QM, scores_QK, items_NM)
