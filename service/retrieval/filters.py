"""What a request's filter means on the attributes of an index: which rows pass.

Decisions
- A filter is a list of conditions, and all must hold. A condition may say several things of its
  attribute; again all must hold.
- A missing value is equal to nothing and lies in no range; it does pass `not_in`, since it is none
  of those. A category that no item has is no mistake: catalogues change, and nothing passes.
- Unknown attributes and values of another type are refused: a filter that is misspelt must not
  silently pass nothing, or everything.
- A filter is first turned into tests of stored values; equal sets of tests are equal filters,
  however they were written, and need evaluating once.

    conditions = [Condition("brand", equals="acme"), Condition("price", most=20.0)]
    tests = compile_filter(columns, conditions)   # FilterError names the condition
    passes_N = evaluate(columns, tests)           # bool [N]
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.attributes import AttributeColumn

Value = str | bool | int | float
Columns = Mapping[str, AttributeColumn]
EXPECTED = {"category": "text", "number": "a finite number", "flag": "true or false"}


class FilterError(ValueError):
    """A condition that cannot be evaluated: where in the filter, the value, the expectation."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field, self.value, self.expected = field, value, expected
        super().__init__(f"{field}: expected {expected}, got {value!r:.80}")


@dataclass(frozen=True)
class Condition:
    """What must hold of one attribute of an item; what is None is not asked."""

    attribute: str
    equals: Value | None = None
    one_of: Sequence[Value] | None = None  # `in`
    none_of: Sequence[Value] | None = None  # `not_in`
    least: float | None = None  # `min`
    most: float | None = None  # `max`


@dataclass(frozen=True)
class Test:
    """One test of a stored value: is it among these, or not, or on this side of the limit?"""

    attribute: str
    among: frozenset[float] | None = None
    not_among: frozenset[float] | None = None
    least: float = -math.inf
    most: float = math.inf

    def of(self, values_N: NDArray[Any]) -> NDArray[np.bool_]:
        """Which values [N] stand the test."""
        if self.among is not None:
            return np.isin(values_N, np.array([*self.among], values_N.dtype))
        if self.not_among is not None:
            return np.isin(values_N, np.array([*self.not_among], values_N.dtype), invert=True)
        inside_N: NDArray[np.bool_] = (values_N >= self.least) & (values_N <= self.most)
        return inside_N


def compile_filter(columns: Columns, conditions: Sequence[Condition]) -> frozenset[Test]:
    """The tests that a filter makes. Raises FilterError."""
    return frozenset(
        test
        for place, condition in enumerate(conditions)
        for test in _tests(_column(columns, condition, place), condition, f"filter.{place}")
    )


def evaluate(columns: Columns, tests: Iterable[Test]) -> NDArray[np.bool_]:
    """Which rows [N] stand all tests, of which there is at least one."""
    passes_N: NDArray[np.bool_] = np.logical_and.reduce(
        [test.of(columns[test.attribute].values_N) for test in tests]
    )
    return passes_N


def _column(columns: Columns, condition: Condition, place: int) -> AttributeColumn:
    if condition.attribute in columns:
        return columns[condition.attribute]
    names = ", ".join(sorted(columns))
    expected = f"one of {names}" if names else "no filter: this index was built without attributes"
    raise FilterError(f"filter.{place}.attribute", condition.attribute, expected)


def _tests(column: AttributeColumn, condition: Condition, field: str) -> Iterator[Test]:
    name, kind = condition.attribute, column.attribute.type
    said = (condition.equals, condition.one_of, condition.none_of, condition.least, condition.most)
    if all(part is None for part in said):
        raise FilterError(field, None, "equals, in, not_in, min or max beside the attribute")
    if condition.equals is not None:
        yield Test(name, among=_stored(column, [condition.equals], f"{field}.equals"))
    if condition.one_of is not None:
        yield Test(name, among=_stored(column, condition.one_of, f"{field}.in"))
    if condition.none_of is not None:
        yield Test(name, not_among=_stored(column, condition.none_of, f"{field}.not_in"))
    for side, limit in (("min", condition.least), ("max", condition.most)):
        if limit is not None and kind != "number":
            raise FilterError(f"{field}.{side}", limit, f"no range: {name} is a {kind}")
    if condition.least is not None:
        yield Test(name, least=condition.least)
    if condition.most is not None:
        yield Test(name, most=condition.most)


def _stored(column: AttributeColumn, values: Iterable[Value], field: str) -> frozenset[float]:
    """Values as the column stores them; categories that it does not know are left out."""
    codes = [_code(column, value, field) for value in values]
    return frozenset(code for code in codes if code is not None)


def _code(column: AttributeColumn, value: Value, field: str) -> float | None:
    match column.attribute.type, value:
        case "category", str():
            return column.code(value)
        case "flag", bool():
            return int(value)
        case "number", int() | float() if not isinstance(value, bool) and _finite(value):
            return float(value)
    raise FilterError(field, value, EXPECTED[column.attribute.type])


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False
