"""The weight directions at which recall is measured: a lattice over the simplex of weights.

Only the direction of the weights matters, and the simplex holds one weighting of each direction.
Its corners are the extremes, "this stage alone"; the lattice between them is as fine as keeps the
number of directions between 9 (2 stages) and 35 (5 stages): effort changes slowly with direction.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

STEPS = {2: 8, 3: 4, 4: 3, 5: 3}  # stages → parts into which each edge of the simplex is divided


def weight_directions(stages: int) -> NDArray[np.float64]:
    """Weights [G, S] that sum to 1, corners included, in a fixed order."""
    steps = STEPS[stages]
    # Stars and bars: the gaps between S-1 bars placed among steps+S-1 slots.
    bars = combinations(range(steps + stages - 1), stages - 1)
    counts = [np.diff((-1, *chosen, steps + stages - 1)) - 1 for chosen in bars]
    return np.asarray(counts, np.float64) / steps
