"""The front of two objectives that one index, or many lists, can reach, and how much it holds.

    kept = on_front(validation_L2)                     chosen where weights are chosen
    hypervolume(yardstick.scaled(test_L2[kept]))       reported where figures are reported

Decisions
- A point is (click, conversion) recall of one list; in other cascades, of the last two stages.
- The hypervolume is the area that the points dominate above the reference, the exposure model's own
  list, in units of the rectangle up to the corner: the click recall of the best single-objective
  model for clicks and the conversion recall of that for conversions, at once. 1 matches both.
- Points are chosen on validation and kept on test, dominated there or not: a front chosen on test
  would count the luckiest lists.

Dimension letters: L lists (points), X anything, for instance replicates of a bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.errors import ConfigError
from training.evaluation.metrics import Floats, Marks


@dataclass(frozen=True)
class Yardstick:
    """What 0 and 1 mean; raises ConfigError where the corner is not beyond the reference."""

    reference: tuple[float, float]
    corner: tuple[float, float]

    def __post_init__(self) -> None:
        if not (self.corner[0] > self.reference[0] and self.corner[1] > self.reference[1]):
            raise ConfigError(
                f"hypervolume: expected single-objective models, {self.corner}, better than the "
                f"reference list, {self.reference}, on both objectives; take a lower reference, "
                "such as (0, 0)"
            )

    def scaled(self, points_XL2: Floats) -> Floats:
        """Points in units of the yardstick."""
        scaled_XL2: Floats = (points_XL2 - self.reference) / np.subtract(
            self.corner, self.reference
        )
        return scaled_XL2


def on_front(points_LD: Floats) -> Marks:
    """[L] True where no other point is as good everywhere; of equal points the first stays."""
    as_good_LL = (points_LD[None] >= points_LD[:, None]).all(axis=2)  # [l, m]: m is as good as l
    better_LL = as_good_LL & (points_LD[None] > points_LD[:, None]).any(axis=2)
    earlier_LL = np.tri(len(points_LD), k=-1, dtype=np.bool_)
    beaten_L = np.any(better_LL | (as_good_LL & as_good_LL.T & earlier_LL), axis=1)
    front_L: Marks = np.logical_not(beaten_L)
    return front_L


def hypervolume(points_XL2: Floats) -> Floats:
    """[X] area above (0, 0) that each set of points dominates; of no points, 0."""
    points_XL2 = np.maximum(points_XL2, 0.0)
    order_XL = np.argsort(-points_XL2[..., 0], axis=-1)
    x_XL, y_XL = np.moveaxis(np.take_along_axis(points_XL2, order_XL[..., None], axis=-2), -1, 0)
    width_XL = -np.diff(x_XL, append=0.0, axis=-1)
    area_X: Floats = (width_XL * np.maximum.accumulate(y_XL, axis=-1)).sum(axis=-1)
    return area_X
