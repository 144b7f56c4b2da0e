"""Item attributes for filters: typed columns beside the vectors, one array each, row = FAISS id.

Decisions
- Three types are enough for filters: a category out of a vocabulary, a number, a flag. An attribute
  need not be a feature: the towers may never have seen it.
- Every type has a value for "missing" (code 0, NaN, -1) that no wanted value is equal to, so a
  filter needs no second array to know what is missing.
- Vocabularies are sorted, so that a look-up is a binary search and equal columns have equal bytes.

    write_attributes(directory, [AttributeColumn(Attribute(name="price", type="number"), prices_N)])
    columns = read_attributes(directory, listed, rows)      # () where an index has none
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bundle import errors
from bundle.features import NAME
from bundle.files import load_array, read_json
from bundle.writing import to_json

ATTRIBUTES = "attributes.json"
AttributeType = Literal["category", "number", "flag"]
LARGEST = float(np.finfo(np.float64).max)
DTYPES = {"category": "i4", "number": "f8", "flag": "i1"}


class Attribute(BaseModel):
    """Name and type of one column, and the entries that a category's codes count from 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    name: str = Field(pattern=NAME)
    type: AttributeType
    vocabulary: list[str] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Attribute:
        if (self.vocabulary is None) != (self.type != "category"):
            raise ValueError(f"attribute {self.name!r}: categories have a vocabulary, others none")
        entries = ["", *(self.vocabulary or ())]
        if any(after <= before for before, after in pairwise(entries)):
            raise ValueError(f"attribute {self.name!r}: entries are not empty, sorted and distinct")
        return self

    @property
    def file(self) -> str:
        """The array's file name."""
        return f"attribute.{self.name}.npy"


class AttributeSet(BaseModel):
    """`attributes.json`: the columns an index has for filters."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    format: Literal["csmf-attributes"] = "csmf-attributes"
    format_version: Literal[1] = 1
    attributes: list[Attribute] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> AttributeSet:
        names = [attribute.name for attribute in self.attributes]
        if len(set(names)) != len(names):
            raise ValueError(f"attribute names must differ: {names}")
        return self


@dataclass(frozen=True)
class AttributeColumn:
    """One attribute of all items: codes, numbers or flags [N]."""

    attribute: Attribute
    values_N: NDArray[Any]

    def rows(self, rows: Sequence[int]) -> AttributeColumn:
        """The same attribute of some of the items."""
        return AttributeColumn(self.attribute, self.values_N[np.array(rows, np.int64)])

    def code(self, category: str) -> int | None:
        """How the column stores a category; None if no item has it."""
        entries = self.attribute.vocabulary or []
        place = bisect_left(entries, category)
        return place + 1 if entries[place : place + 1] == [category] else None


def write_attributes(directory: Path, columns: Sequence[AttributeColumn]) -> None:
    """Write attributes.json and an array per column; nothing where there are no columns."""
    if not columns:
        return
    listed = AttributeSet(attributes=[column.attribute for column in columns])
    (directory / ATTRIBUTES).write_bytes(to_json(listed))
    for column in columns:
        stored_N = column.values_N.astype(DTYPES[column.attribute.type])
        np.save(directory / column.attribute.file, stored_N)


def attribute_files(directory: Path) -> list[str]:
    """Names of the files that write_attributes left in `directory`, for its manifest."""
    if not (directory / ATTRIBUTES).exists():
        return []
    listed, _ = read_json(directory / ATTRIBUTES, AttributeSet)
    return [ATTRIBUTES, *(attribute.file for attribute in listed.attributes)]


def read_attributes(
    directory: Path, listed: Collection[str], rows: int, *, mmap: bool = True
) -> tuple[AttributeColumn, ...]:
    """The columns of a directory whose manifest lists these files; () if it has none.

    Raises a BundleError for an array that is not there, of another type or length, or that holds a
    value its type does not have.
    """
    if ATTRIBUTES not in listed:
        return ()
    found, _ = read_json(directory / ATTRIBUTES, AttributeSet)
    for attribute in found.attributes:
        if attribute.file not in listed:
            raise errors.MissingFieldError(
                ATTRIBUTES, "attributes", expected=f"{attribute.file} in the manifest", found="none"
            )
    return tuple(_read_column(directory, attribute, rows, mmap) for attribute in found.attributes)


def _read_column(directory: Path, attribute: Attribute, rows: int, mmap: bool) -> AttributeColumn:
    values_N = load_array(directory / attribute.file, DTYPES[attribute.type], (rows,), mmap=mmap)
    wrong_N = _outside(attribute, values_N)
    if wrong_N.any():
        row = int(np.flatnonzero(wrong_N)[0])
        raise errors.InvalidArrayError(
            attribute.file, f"row {row}", expected=f"a {attribute.type}", found=str(values_N[row])
        )
    return AttributeColumn(attribute, values_N)


def _outside(attribute: Attribute, values_N: NDArray[Any]) -> NDArray[np.bool_]:
    """Where an array holds what its type has no meaning for."""
    last = len(attribute.vocabulary or ())
    least, most = {"category": (0, last), "number": (-LARGEST, LARGEST), "flag": (-1, 1)}[
        attribute.type
    ]
    outside_N: NDArray[np.bool_] = (values_N < least) | (values_N > most)
    return outside_N
