"""Raw records → tower inputs: the ONE encoder of training, index building and serving (no skew).

Each feature becomes one ONNX input named as the feature:

    categorical  int64   [B]          row of the vocabulary; 0 = missing or unknown
    numeric      float32 [B]          standardised, clipped to ±CLIP; missing = 0, the mean
    sequence     int64   [B, L]       the most recent L known values, oldest first; 0 pads the end
    vector       float32 [B, D]       as given; missing = zeros

Unknown categories, missing values and whole missing columns are served, and unknown categories are
counted. A value of the wrong type is refused with a FeatureError.
"""

from __future__ import annotations

import math
import reprlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from bundle.columns import Coded, Column, is_numbers
from bundle.vocabulary import Vocabulary

CLIP = 10.0  # standard deviations: one absurd number must not make an infinite vector
ROUNDING = 1e-9  # of a mean: a smaller deviation is that of equal numbers
LARGEST = 1e6  # of a vector's numbers, for the same reason
NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"  # names travel as ONNX inputs, JSON keys, metric labels


class FeatureError(ValueError):
    """A value that no encoding exists for: feature, row of the batch, value, expectation."""

    def __init__(self, feature: str, row: int, value: object, expected: str) -> None:
        self.feature, self.row, self.value, self.expected = feature, row, value, expected
        super().__init__(feature, row, value, expected)

    def __str__(self) -> str:
        """Written when asked for: a service that refuses a large value asks for no message."""
        place = f"feature {self.feature!r}, row {self.row}"
        return f"{place}: expected {self.expected}, got {reprlib.repr(self.value):.80}"


@dataclass(frozen=True)
class TensorSpec:
    """Name, dtype and shape (None = the batch) of one tower input or output."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class EncodedFeatures:
    """Tower inputs by feature name, and how many unknown categories each feature met."""

    arrays: dict[str, NDArray[Any]]
    unknown: dict[str, int]


class _Feature(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    name: str = Field(pattern=NAME)


class Categorical(_Feature):
    """One value out of a vocabulary: a string, or an integer or boolean read as its JSON text."""

    type: Literal["categorical"] = "categorical"
    vocabulary: str = Field(description="key of FeatureSchema.vocabularies")

    @property
    def tensor(self) -> TensorSpec:
        """int64 [B]."""
        return TensorSpec(self.name, "int64", (None,))

    def encode(self, column: Column, vocabulary: Vocabulary) -> tuple[NDArray[np.int64], int]:
        """[B] rows of the vocabulary, and the number of unknown values."""
        values, places_B = column.parts if isinstance(column, Coded) else (column, slice(None))
        keys = [
            value if type(value) is str else category_key(value, self.name, row)
            for row, value in enumerate(values)
        ]
        rows_V = vocabulary.rows(keys)
        if not isinstance(column, Coded):
            return rows_V, int(np.count_nonzero(rows_V == 0)) - keys.count("")
        missing_V = np.array([not key for key in keys]) if "" in keys else np.False_
        unknown_V = (rows_V == 0) & ~missing_V
        return rows_V[places_B], int(np.count_nonzero(unknown_V[places_B]))


class CategorySequence(_Feature):
    """An ordered list of categories, oldest first; the most recent `max_length` are read."""

    type: Literal["sequence"] = "sequence"
    vocabulary: str
    max_length: int = Field(ge=1, le=1024)

    @property
    def tensor(self) -> TensorSpec:
        """int64 [B, max_length]."""
        return TensorSpec(self.name, "int64", (None, self.max_length))

    def encode(self, column: Column, vocabulary: Vocabulary) -> tuple[NDArray[np.int64], int]:
        """[B, L] rows of the vocabulary padded with 0 at the end, and the number of unknowns."""
        keys = [self._recent(values, row) for row, values in enumerate(column)]
        rows = vocabulary.rows([key for recent in keys for key in recent])
        rows_BL, start = np.zeros((len(column), self.max_length), np.int64), 0
        for row_L, recent in zip(rows_BL, keys, strict=True):
            known = rows[start : start + len(recent)]
            known = known[known > 0]
            row_L[: len(known)] = known
            start += len(recent)
        return rows_BL, int(np.count_nonzero(rows == 0))

    def _recent(self, values: object, row: int) -> list[str]:
        recent = self._checked(values, row)[-self.max_length :]
        return [category_key(value, self.name, row) for value in recent]

    def _checked(self, values: object, row: int) -> Sequence[object]:
        if values is None:
            return ()
        if isinstance(values, list | tuple | np.ndarray):
            return values  # type: ignore[return-value]  # an array is a sequence to all uses here
        raise FeatureError(self.name, row, values, "a list of strings or integers")


class Numeric(_Feature):
    """A number, standardised by the training log's mean and standard deviation."""

    type: Literal["numeric"] = "numeric"
    mean: FiniteFloat
    std: FiniteFloat = Field(gt=0)

    @classmethod
    def fit(cls, name: str, column: Column) -> Numeric:
        """Mean and deviation of the values present; a constant column gets deviation 1."""
        values_B = np.asarray([value for value in column if value is not None], np.float64)
        std = float(values_B.std()) if values_B.size else 0.0
        mean = float(values_B.mean()) if values_B.size else 0.0
        varies = std > ROUNDING * max(1.0, abs(mean))
        return cls(name=name, mean=mean, std=std if varies else 1.0)

    @property
    def tensor(self) -> TensorSpec:
        """float32 [B]."""
        return TensorSpec(self.name, "float32", (None,))

    def encode(self, column: Column) -> NDArray[np.float32]:
        """[B] standardised values."""
        if is_numbers(column) and np.isfinite(column).all():
            scaled_B = (column.astype(np.float64) - self.mean) / self.std
            return np.clip(scaled_B, -CLIP, CLIP).astype(np.float32)
        scaled = (
            0.0 if value is None else (_finite(value, self.name, row) - self.mean) / self.std
            for row, value in enumerate(column)
        )
        return np.array([min(max(value, -CLIP), CLIP) for value in scaled], np.float32)


class Vector(_Feature):
    """A precomputed embedding of `dim` numbers, used as it is."""

    type: Literal["vector"] = "vector"
    dim: int = Field(ge=1, le=8192)

    @property
    def tensor(self) -> TensorSpec:
        """float32 [B, dim]."""
        return TensorSpec(self.name, "float32", (None, self.dim))

    def encode(self, column: Column) -> NDArray[np.float32]:
        """[B, dim] values."""
        if is_numbers(column) and column.ndim == 2 and self._fits(column, (len(column), self.dim)):
            return column.astype(np.float32)
        values_BD = np.zeros((len(column), self.dim), np.float32)
        for row, value in enumerate(column):
            if value is not None:
                values_BD[row] = self._checked(value, row)
        return values_BD

    def _checked(self, value: object, row: int) -> NDArray[np.float32]:
        if self._holds_numbers(value) and self._fits(vector_D := np.asarray(value), (self.dim,)):
            return vector_D.astype(np.float32)
        expected = f"{self.dim} numbers from {-LARGEST:g} to {LARGEST:g}"
        raise FeatureError(self.name, row, value, expected)

    def _holds_numbers(self, value: object) -> bool:
        """Asked before it becomes an array, where each number is as long as a text beside it."""
        if isinstance(value, list | tuple) and len(value) == self.dim:
            kinds = set(map(type, value))
            numbers = all(issubclass(kind, int | float | np.number) for kind in kinds)
            return numbers and bool not in kinds
        return isinstance(value, np.ndarray)

    def _fits(self, values: NDArray[Any], shape: tuple[int, ...]) -> bool:
        numbers = values.dtype.kind in "fiu" and values.shape == shape and values.size > 0
        return numbers and bool(-LARGEST <= values.min() <= values.max() <= LARGEST)  # nor NaN


Feature = Annotated[Categorical | CategorySequence | Numeric | Vector, Field(discriminator="type")]


def build_vocabulary(columns: Iterable[Column], min_count: int = 1) -> list[str]:
    """The distinct categories of the columns seen at least `min_count` times, sorted."""
    counts: Counter[str] = Counter()
    for column in columns:
        counts.update(category_key(value, "vocabulary", row) for row, value in enumerate(column))
    counts.pop("", None)
    return sorted(key for key, count in counts.items() if count >= min_count)


def category_key(value: object, feature: str, row: int) -> str:
    """The text under which a category is known; "" for a missing value."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer | str):
        return str(value)
    raise FeatureError(feature, row, value, "a string, integer, boolean or null")


def _finite(value: object, feature: str, row: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise FeatureError(feature, row, value, "a finite number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise FeatureError(feature, row, value, "a finite number")
    return number
