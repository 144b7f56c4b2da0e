"""`features.json`: what the towers read, and their vocabularies; large ones lie in files beside it.

Decisions
- Four million categories as JSON take a second of each start to parse, and then 60 MB of each
  process. As a sorted array in a file of its own they are mapped, and shared by all.
- Sorted is how `build_vocabulary` makes them. What is not, or does not pack (see vocabulary.py),
  stays in the JSON.
- Once read, a schema holds all vocabularies alike: nobody else knows of the files.

    write_schema(directory, schema)
    schema = read_schema(directory, listed)
    schema.encode_user({"user_id": ["u7"], "recent_items": [["i3", "i9"]]}, rows=1)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from bundle import errors
from bundle.columns import Column
from bundle.features import NAME, Categorical, CategorySequence, EncodedFeatures, Feature
from bundle.files import load_array, read_json
from bundle.vocabulary import WIDEST, Entries, Packed, Vocabulary, are_distinct, look_up
from bundle.writing import to_json

FEATURES = "features.json"
VOCABULARY = re.compile(rf"vocabulary\.({NAME.strip('^$')})\.npy")


class FeatureSchema(BaseModel):
    """`features.json`: what each tower reads, in input order, and the vocabularies."""

    # Entries differ: to look for equal ones would take as long as all the rest of the parsing.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, cache_strings="none")
    format: Literal["csmf-features"] = "csmf-features"
    format_version: Literal[1] = 1
    vocabularies: dict[str, Entries] = Field(description="row i+1 of the table is entry i")
    user: list[Feature] = Field(min_length=1)
    item: list[Feature] = Field(min_length=1)

    @field_validator("vocabularies", mode="after")
    @classmethod
    def _with_those_in_files(
        cls, given: dict[str, Sequence[str]], info: ValidationInfo
    ) -> dict[str, Sequence[str]]:
        mapped: Mapping[str, Sequence[str]] = info.context or {}
        if twice := sorted(given.keys() & mapped.keys()):
            raise ValueError(f"a vocabulary is given once, here or in a file: {twice}")
        return {**given, **mapped}

    @model_validator(mode="after")
    def _consistent(self) -> FeatureSchema:
        for tower in (self.user, self.item):
            names = [feature.name for feature in tower]
            if len(set(names)) != len(names):
                raise ValueError(f"feature names of one tower must differ: {names}")
            for feature in tower:
                wanted = getattr(feature, "vocabulary", None)
                if wanted is not None and wanted not in self.vocabularies:
                    raise ValueError(f"feature {feature.name!r}: no vocabulary {wanted!r}")
        for name, entries in self.vocabularies.items():
            if not are_distinct(entries):
                raise ValueError(f"vocabulary {name!r}: entries must be non-empty and differ")
        return self

    def rows_of(self, vocabulary: str) -> Vocabulary:
        """Category → row of its embedding table (0 is kept for unknown).

        Made when first asked for: a server never needs the vocabularies of items alone.
        """
        if vocabulary not in self._rows:
            self._rows[vocabulary] = look_up(self.vocabularies[vocabulary])
        return self._rows[vocabulary]

    @cached_property
    def _rows(self) -> dict[str, Vocabulary]:
        return {}

    def encode_user(self, columns: Mapping[str, Column], rows: int) -> EncodedFeatures:
        """Encode `rows` user records given as columns; absent columns count as missing."""
        return self._encode(self.user, columns, rows)

    def encode_item(self, columns: Mapping[str, Column], rows: int) -> EncodedFeatures:
        """Encode `rows` item records given as columns; absent columns count as missing."""
        return self._encode(self.item, columns, rows)

    def _encode(
        self, features: Sequence[Feature], columns: Mapping[str, Column], rows: int
    ) -> EncodedFeatures:
        arrays: dict[str, NDArray[Any]] = {}
        unknown: dict[str, int] = {}
        for feature in features:
            column = columns.get(feature.name, [None] * rows)
            if isinstance(feature, Categorical | CategorySequence):
                vocabulary = self.rows_of(feature.vocabulary)
                arrays[feature.name], unknown[feature.name] = feature.encode(column, vocabulary)
            else:
                arrays[feature.name] = feature.encode(column)
        return EncodedFeatures(arrays, {name: count for name, count in unknown.items() if count})


def write_schema(directory: Path, schema: FeatureSchema) -> None:
    """Write features.json, and a file for each vocabulary that is better mapped than parsed."""
    large = {
        name: entries
        for name, entries in schema.vocabularies.items()
        if isinstance(entries, Packed) and entries.ascending and re.fullmatch(NAME, name)
    }
    small = {name: each for name, each in schema.vocabularies.items() if name not in large}
    document = schema.model_copy(update={"vocabularies": small})
    for name, entries in large.items():
        np.save(directory / f"vocabulary.{name}.npy", entries.entries_V)
    (directory / FEATURES).write_bytes(to_json(document))


def read_schema(directory: Path, listed: Collection[str]) -> FeatureSchema:
    """The schema of a directory whose manifest lists these files. Raises a BundleError."""
    mapped = {
        name[1]: _map_vocabulary(directory / file)
        for file in sorted(listed)
        if (name := VOCABULARY.fullmatch(file))
    }
    return read_json(directory / FEATURES, FeatureSchema, mapped)[0]


def vocabulary_files(directory: Path) -> list[str]:
    """Names of the vocabularies' files in a directory, for its manifest."""
    return sorted(path.name for path in directory.iterdir() if VOCABULARY.fullmatch(path.name))


def _map_vocabulary(path: Path) -> Packed:
    entries_V = np.asarray(load_array(path, "S", (None,)))
    width = entries_V.dtype.itemsize
    if not len(entries_V) or not 0 < width <= WIDEST:
        expected, found = f"entries of 1 to {WIDEST} bytes", f"{len(entries_V)} of {width}"
        raise errors.InvalidArrayError(path.name, "", expected=expected, found=found)
    entries = Packed(entries_V)
    if not (entries.ascending and entries.distinct):
        rest = np.flatnonzero(entries_V[1:] <= entries_V[:-1])
        row = int(rest[0]) + 1 if len(rest) else 0
        expected = "entries that are sorted, distinct and not empty"
        found = repr(entries_V[row])
        raise errors.InvalidArrayError(path.name, f"row {row}", expected=expected, found=found)
    return entries
