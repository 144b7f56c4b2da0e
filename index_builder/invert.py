"""The inverted file of a catalogue, with codes as short as its recall allows, and its effort map.

Decisions
- `auto` tries codes of 4 bits first, from SHORT_FROM items on: below, what is fixed of a search
  counts more than what it scans. They stay if they reach the target and lose no more to rounding
  than half of what calibration aims above it, which few cells more make up for. Where a few items
  are many times longer than the rest they lose more: fp16, in twice as many cells.
- It does not go by the clock: equal inputs give equal files, on whatever machine.

    inverted, effort = build_inverted(items_NM, asking, target, "auto", seed, phases)
    require_target(effort, target, segments)

Dimension letters: N items, M vector dims, B users, G directions of weights, S stages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.codes import Codes
from bundle.effort import EffortMap
from bundle.scoring import scale_query
from bundle.segments import Segments
from index_builder.calibrate import Calibrated, Target, calibrate, list_lengths, reaches
from index_builder.cells import InvertedFile, fill_cells, train_centroids
from index_builder.codes import Floats
from index_builder.copies import find_copies
from index_builder.progress import Phases
from index_builder.settings import Wanted
from index_builder.space import score_space
from index_builder.truth import find_truth

SHORT_FROM = 50_000  # items
FEWEST = 624  # items that choose 16 levels: 39 a level, as FAISS asks for its own
Keep = Callable[[str, Callable[[], Floats]], Floats]  # a step's name and the step → its result


@dataclass(frozen=True)
class Asking:
    """Users who shape the cells, others who measure recall, and the weights of both."""

    shaping_BM: Floats
    measuring_BM: Floats
    directions_GS: NDArray[np.float64]  # of the shaping
    measured_GS: NDArray[np.float64]
    segments: Segments


def build_inverted(
    items_NM: Floats,
    asking: Asking,
    target: Target,
    wanted: Wanted,
    seed: int,
    phases: Phases,
    keep: Keep = lambda _, make: make(),
) -> tuple[InvertedFile, EffortMap]:
    """Cluster, fill and calibrate by the first codes that do, or the last; see require_target."""
    segments, count = asking.segments, len(items_NM)
    asked = [scale_query(asking.shaping_BM, each_S, segments) for each_S in asking.directions_GS]
    space = score_space(items_NM, asked)
    with phases("calibrate", "items", count) as progress:
        users_BM, weights_GS = asking.measuring_BM, asking.measured_GS
        longest = list_lengths(count)[-1]
        truth = find_truth(users_BM, items_NM, weights_GS, segments, longest, progress)
    copies = find_copies(items_NM)

    def build(codes: Codes) -> tuple[InvertedFile, Calibrated]:
        with phases("k-means"):
            centroids_CD = keep(
                f"cells-{codes}", lambda: train_centroids(items_NM, space, seed, codes)
            )
        with phases("fill", "items", 2 * count) as progress:
            inverted = fill_cells(items_NM, space, centroids_CD, progress, copies, codes)
        with phases("calibrate"):
            return inverted, calibrate(inverted, items_NM, truth, target)

    *first, last = codes_to_try(wanted, count)
    for codes in first:
        inverted, found = build(codes)
        if found.kept >= (1 + target.recall / target.aim) / 2 and reaches(found.effort, target):
            return inverted, found.effort
        del inverted, found  # before there is another one
    inverted, found = build(last)
    return inverted, found.effort


def codes_to_try(wanted: Wanted, items: int) -> tuple[Codes, ...]:
    """The codes of an inverted file of so many items, in order."""
    if wanted == "int4" and items < FEWEST:
        return ("fp16",)
    if wanted != "auto":
        return (wanted,)
    return ("int4", "fp16") if items >= SHORT_FROM else ("fp16",)
