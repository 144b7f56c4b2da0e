"""Objective weights `<k_d, k_o, k_r>` of Eq. 8: one finite number >= 0 per stage, not all zero.

The JSON form names the stages, `{"exposure": 1, "click": 1.8, "conversion": 1.2}`. A cascade of
three also accepts the paper's aliases, `{"k_d": 1, "k_o": 1.8, "k_r": 1.2}`. Every stage must be
given: a forgotten weight is more often a mistake than a zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PAPER_ALIASES = ("k_d", "k_o", "k_r")
# Beyond any use; keep scaled float32 queries far from overflow and underflow.
MIN_WEIGHT, MAX_WEIGHT = 1e-6, 1e6


class WeightsError(ValueError):
    """Weights that cannot be used: which field, its value, what was expected."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field, self.value, self.expected = field, value, expected
        super().__init__(f"weights: {field}: expected {expected}, got {value!r}")


@dataclass(frozen=True)
class ObjectiveWeights:
    """Weights in cascade order; construct with `parse`."""

    stages: tuple[str, ...]
    values: tuple[float, ...]

    @classmethod
    def parse(cls, weights: Mapping[str, object], stages: Sequence[str]) -> ObjectiveWeights:
        """Validate a JSON object of weights. Raises WeightsError."""
        named = _without_aliases(weights, stages)
        for name in named:
            if name not in stages:
                raise WeightsError(name, named[name], f"one of the stages {list(stages)}")
        values = tuple(_weight(stage, named.get(stage)) for stage in stages)
        if not any(values):
            raise WeightsError("*", dict(named), "at least one weight above zero")
        return cls(tuple(stages), values)

    def as_dict(self) -> dict[str, float]:
        """The JSON form."""
        return dict(zip(self.stages, self.values, strict=True))

    def as_array(self) -> NDArray[np.float64]:
        """Weights as [S] in cascade order."""
        return np.asarray(self.values)


def _without_aliases(weights: Mapping[str, object], stages: Sequence[str]) -> dict[str, object]:
    if len(stages) != len(PAPER_ALIASES) or not set(weights) & set(PAPER_ALIASES):
        return dict(weights)
    rename = dict(zip(PAPER_ALIASES, stages, strict=True))
    named: dict[str, object] = {}
    for key, value in weights.items():
        stage = rename.get(key, key)
        if stage in named:
            raise WeightsError(key, value, f"either {key!r} or {stage!r}, not both")
        named[stage] = value
    return named


def _weight(stage: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WeightsError(stage, value, "a number")
    if value != 0 and not MIN_WEIGHT <= value <= MAX_WEIGHT:  # also false for NaN
        raise WeightsError(stage, value, f"0, or a number from {MIN_WEIGHT:g} to {MAX_WEIGHT:g}")
    return float(value)
