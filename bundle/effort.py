"""The effort map: how many cells a search must visit so that recall holds for the weights in force.

Recall of an inverted file depends on the weights, because they turn and stretch the query. The
index builder measures the smallest effort that reaches the target over a grid of weight directions
and list lengths; the service looks the effort up. Only the direction of the segment scales matters
(`w` and `c·w` rank alike), so directions are compared by cosine.

Away from the measured directions a look-up takes the largest effort among the S nearest. Between
two measured lengths effort grows by a power of the length, or is the longer one's where a search
may visit a share of the cells only, since that was measured of no other. A list shorter than all
measured is searched as the shortest, a longer one in every cell.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bundle.scoring import segment_scales

REMEMBERED = 1024  # weights, whose nearest directions are looked up once
SAME = 1 - 1e-9  # cosine of two directions that differ by rounding alone


class EffortPoint(BaseModel):
    """One measured direction: per list length, cells visited and the recall reached."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    weights: list[float] = Field(description="one weight per stage, in cascade order")
    nprobe: list[int] = Field(description="cells visited, one per list length of the map")
    recall: list[float] = Field(description="recall against exact search at that effort")
    reduced: list[list[float]] = Field([], description="the same per share of the map's `shares`")


class EffortMap(BaseModel):
    """Smallest measured effort per weight direction and list length."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    target_recall: float = Field(gt=0, le=1)
    cells: int = Field(ge=1, description="nlist: visiting all of them is an exact scan")
    k: list[int] = Field(min_length=1, description="list lengths, increasing")
    shares: list[float] = Field([], description="shares of the cells, decreasing, within 0 and 1")
    points: list[EffortPoint] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> EffortMap:
        if self.k != sorted(set(self.k)) or self.k[0] < 1:
            raise ValueError(f"k must be increasing and >= 1: {self.k}")
        if self.shares != sorted({share for share in self.shares if 0 < share < 1}, reverse=True):
            raise ValueError(f"shares must be decreasing and within 0 and 1: {self.shares}")
        stages = len(self.points[0].weights)
        for point in self.points:
            if not len(point.nprobe) == len(point.recall) == len(self.k):
                raise ValueError(f"need one nprobe and one recall per k {self.k}: {point}")
            if [len(recalls) for recalls in point.reduced] != [len(self.k)] * len(self.shares):
                raise ValueError(f"need one recall per share {self.shares} and k {self.k}: {point}")
            if not all(1 <= cells <= self.cells for cells in point.nprobe):
                raise ValueError(f"nprobe must lie in 1..{self.cells}: {point}")
            if len(point.weights) != stages or min(point.weights) < 0 or not any(point.weights):
                raise ValueError(f"need {stages} weights >= 0, not all zero: {point}")
        return self

    def lookup(self, weights_S: NDArray[np.float64], k: int, *, measured: bool = False) -> int:
        """Cells to visit (nprobe) for these weights and this list length, or the next measured."""
        column = bisect_left(self.k, k)
        if column == len(self.k):
            return self.cells
        points = self._nearby(weights_S)
        more = max(point.nprobe[column] for point in points)
        if measured or column == 0 or self.k[column] == k:
            return more
        fewer = max(point.nprobe[column - 1] for point in points)
        shorter, longer = self.k[column - 1 : column + 1]
        passed = math.log(k / shorter) / math.log(longer / shorter)
        between: float = fewer * (more / fewer) ** passed
        return math.ceil(between)

    def recall(self, weights_S: NDArray[np.float64], k: int, share: float = 1.0) -> float:
        """The least recall measured in the directions that a look-up goes by.

        At a share of the cells; one of `shares`, or 1. Between two measured lengths it is the
        lesser one's, of a share the longer one's.
        """
        column = bisect_left(self.k, k)
        if column == len(self.k):
            return 1.0
        points = self._nearby(weights_S)
        if share < 1:
            row = self.shares.index(share)
            return min(point.reduced[row][column] for point in points)
        first = column if column == 0 or self.k[column] == k else column - 1
        return min(min(point.recall[first : column + 1]) for point in points)

    def _nearby(self, weights_S: NDArray[np.float64]) -> list[EffortPoint]:
        """The measured direction that it is, or the S nearest; remembered, as few are in force."""
        places = self._remembered(np.asarray(weights_S, np.float64).tobytes())
        return [self.points[place] for place in places]

    @cached_property
    def _remembered(self) -> Callable[[bytes], list[int]]:
        directions_GS = self._directions_GS

        @lru_cache(REMEMBERED)
        def nearest(weights: bytes) -> list[int]:
            weights_S = np.frombuffer(weights)
            cosines_G = directions_GS @ _direction(weights_S)
            nearest_S: list[int] = np.argsort(-cosines_G, kind="stable").tolist()
            return nearest_S[: 1 if cosines_G[nearest_S[0]] > SAME else len(weights_S)]

        return nearest

    @cached_property
    def _directions_GS(self) -> NDArray[np.float64]:
        return np.stack([_direction(np.asarray(point.weights)) for point in self.points])


def reduced_cells(cells: int, share: float) -> int:
    """A share of the cells, at least one."""
    return max(1, math.ceil(share * cells))


def _direction(weights_S: NDArray[np.float64]) -> NDArray[np.float64]:
    scales_S = segment_scales(weights_S)
    unit_S: NDArray[np.float64] = scales_S / np.linalg.norm(scales_S)
    return unit_S
