"""`features.json`: what the towers read, and their vocabularies; large ones lie in files beside it.

Decisions
- Four million categories as JSON take a second of each start to parse, and then 60 MB of each
  process. As a sorted array in a file of its own they are mapped, and shared by all.
- Sorted is how `build_vocabulary` makes them. What is not, or does not pack (see vocabulary.py),
  stays in the JSON, which any reader of a bundle may rely on as before.

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
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bundle import errors
from bundle.columns import Column
from bundle.features import NAME, Categorical, CategorySequence, EncodedFeatures, Feature
from bundle.files import load_array, read_json
from bundle.vocabulary import Entries, Packed, Vocabulary, are_distinct, look_up
from bundle.writing import to_json

FEATURES = "features.json"


class FeatureSchema(BaseModel):
    """`features.json`: what each tower reads, in input order, and the vocabularies."""

    # Entries differ: to look for equal ones would take as long as all the rest of the parsing.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, cache_strings="none")
    format: Literal["csmf-features"] = "csmf-features"
    format_version: Literal[1] = 1
    vocabularies: dict[str, Entries] = Field(description="row i+1 of the table is entry i")
    mapped: list[str] = Field(
        default=[], description="more of them, in files: vocabulary.<name>.npy"
    )
    user: list[Feature] = Field(min_length=1)
    item: list[Feature] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> FeatureSchema:
        for tower in (self.user, self.item):
            names = [feature.name for feature in tower]
            if len(set(names)) != len(names):
                raise ValueError(f"feature names of one tower must differ: {names}")
            for feature in tower:
                wanted = getattr(feature, "vocabulary", None)
                if wanted is not None and wanted not in {*self.vocabularies, *self.mapped}:
                    raise ValueError(f"feature {feature.name!r}: no vocabulary {wanted!r}")
        if len({*self.vocabularies, *self.mapped}) < len(self.vocabularies) + len(self.mapped):
            raise ValueError(f"a vocabulary is given once: {self.mapped}")
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
    document = schema.model_copy(update={"vocabularies": small, "mapped": sorted(large)})
    for name, entries in large.items():
        np.save(directory / vocabulary_file(name), entries.entries_V)
    (directory / FEATURES).write_bytes(to_json(document))


def read_schema(directory: Path, listed: Collection[str]) -> FeatureSchema:
    """The schema of a directory whose manifest lists these files, its vocabularies in place.

    Raises a BundleError.
    """
    schema, _ = read_json(directory / FEATURES, FeatureSchema)
    mapped = {name: _map_vocabulary(directory, name, listed) for name in schema.mapped}
    return schema.model_copy(update={"vocabularies": schema.vocabularies | mapped, "mapped": []})


def schema_files(directory: Path) -> list[str]:
    """Names of the vocabularies' files that write_schema left in `directory`, for its manifest."""
    document, _ = read_json(directory / FEATURES, FeatureSchema)
    return [*map(vocabulary_file, document.mapped)]


def vocabulary_file(name: str) -> str:
    """The file of a vocabulary."""
    return f"vocabulary.{name}.npy"


def _map_vocabulary(directory: Path, name: str, listed: Collection[str]) -> Packed:
    file = vocabulary_file(name)
    if file not in listed:
        raise errors.MissingFieldError(
            FEATURES, "mapped", expected=f"{file} in the manifest", found="none"
        )
    entries_V = np.asarray(load_array(directory / file, "S", (None,)))
    wrong_V = np.concatenate([entries_V[:1] == b"", entries_V[1:] <= entries_V[:-1]])
    if not len(entries_V) or wrong_V.any():
        raise errors.InvalidArrayError(
            file,
            f"row {int(wrong_V.argmax())}" if len(entries_V) else "",
            expected="entries that are not empty, sorted and distinct",
            found=repr(entries_V[wrong_V.argmax()]) if len(entries_V) else "none",
        )
    return Packed(entries_V)
