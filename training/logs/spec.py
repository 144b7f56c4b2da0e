"""log.yaml: what the tables of a log mean.

Decisions
- The cascade and the features are declared, never guessed from the columns.
- Every key is known: a misspelt key is an error that names it, not a default taken in silence.
- A feature's name is its column's name, and later the name of the tower's input.
- A sequence shares a vocabulary by naming the categorical feature that owns it.

Use: ``spec = load_spec(directory)``; ``spec.stages``; ``spec.features.user``;
``directory.joinpath("log.yaml").write_text(spec.to_yaml())``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from training.logs.errors import LogError

SPEC_FILE = "log.yaml"
FeatureType = Literal["categorical", "numeric", "sequence", "vector"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]

EVENT_KEYS = ("request_id", "item_id", "position")


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class StageColumn(_Strict):
    """One stage of the cascade and the boolean column of events that records it."""

    stage: Name
    column: Name


class FeatureDeclaration(_Strict):
    """A tower input: its column, its type and, by type, its length, dimension or vocabulary."""

    name: Name
    type: FeatureType
    vocabulary: Name | None = None
    max_length: Annotated[int, Field(ge=1, le=1024)] | None = None
    dim: Annotated[int, Field(ge=1, le=4096)] | None = None
    table: Literal["requests", "users", "items"]

    @property
    def vocabulary_name(self) -> str:
        """The categorical feature whose vocabulary encodes this one; by default its own."""
        return self.vocabulary or self.name

    @model_validator(mode="after")
    def _fields_fit_the_type(self) -> Self:
        needs = {"sequence": "max_length", "vector": "dim"}.get(self.type)
        for field in ("max_length", "dim"):
            given = getattr(self, field) is not None
            if given != (field == needs):
                verb = "needs" if field == needs else "takes no"
                raise ValueError(f"feature '{self.name}' of type {self.type} {verb} '{field}'")
        if self.vocabulary is not None and self.type not in {"categorical", "sequence"}:
            raise ValueError(f"feature '{self.name}' of type {self.type} takes no 'vocabulary'")
        return self


class UserFeature(FeatureDeclaration):
    """A feature of the user tower, known when the request arrives."""

    table: Literal["requests", "users"] = "requests"


class ItemFeature(FeatureDeclaration):
    """A feature of the item tower."""

    table: Literal["items"] = "items"


class Features(_Strict):
    """The inputs of both towers."""

    user: Annotated[tuple[UserFeature, ...], Field(min_length=1)]
    item: Annotated[tuple[ItemFeature, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_are_unique_and_vocabularies_exist(self) -> Self:
        for side, features in (("user", self.user), ("item", self.item)):
            _refuse_repeats(f"{side} feature", [feature.name for feature in features])
        declared = (*self.user, *self.item)
        for feature in declared:
            if feature.name in {"request_id", "ts"}:
                raise ValueError(f"'{feature.name}' differs in every request: no feature")
            if feature.name in {"user_id", "item_id"} and feature.type != "categorical":
                raise ValueError(f"'{feature.name}' is a key, its type is categorical")
        owners = {f.name for f in declared if f.type == "categorical" and f.vocabulary is None}
        for feature in declared:
            if feature.vocabulary is not None and feature.vocabulary not in owners:
                raise ValueError(
                    f"feature '{feature.name}' uses vocabulary '{feature.vocabulary}', "
                    f"which no categorical feature owns (owners: {', '.join(sorted(owners))})"
                )
        return self


class LogSpec(_Strict):
    """The whole of log.yaml."""

    version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    cascade: Annotated[tuple[StageColumn, ...], Field(min_length=2, max_length=5)]
    features: Features
    item_features_until: int | None = None
    test_from: int | None = None
    notes: str = ""

    @property
    def stages(self) -> tuple[str, ...]:
        """Stage names in cascade order."""
        return tuple(entry.stage for entry in self.cascade)

    @property
    def stage_columns(self) -> tuple[str, ...]:
        """Columns of events in cascade order."""
        return tuple(entry.column for entry in self.cascade)

    @model_validator(mode="after")
    def _cascade_is_well_formed(self) -> Self:
        _refuse_repeats("stage", list(self.stages))
        _refuse_repeats("stage column", list(self.stage_columns))
        for column in self.stage_columns:
            if column in EVENT_KEYS:
                raise ValueError(f"'{column}' is a fixed column of events, not a stage")
        return self

    def to_yaml(self) -> str:
        """The text of log.yaml, in declaration order."""
        fields = self.model_dump(mode="json", exclude_none=True)
        return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def load_spec(directory: Path) -> LogSpec:
    """Reads and checks ``directory/log.yaml``; raises LogError naming the offending field."""
    path = directory / SPEC_FILE
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LogError(
            str(path), None, None, "the file does not exist", "A log directory has a log.yaml"
        ) from None
    except OSError as error:
        raise LogError(
            str(path), None, None, f"cannot be read ({error.strerror})", "Give a log directory"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise LogError(str(path), None, None, f"not YAML: {problem}", "Correct it") from error
    try:
        # JSON mode is strict about types, yet reads a list as a tuple.
        return LogSpec.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        # A misspelt field is both unknown and missing: its own name says more.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        field = ".".join(str(part) for part in first["loc"]) or None
        raise LogError(
            str(path), field, None, _problem(first), "docs/logs.md lists the fields of log.yaml"
        ) from error


def _problem(found: ErrorDetails) -> str:
    if found["type"] == "extra_forbidden":
        return "there is no such field"
    value = found["input"]
    got = f", got {value!r:.80}" if isinstance(value, str | int | float) else ""
    return found["msg"] + got


def _refuse_repeats(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what} '{name}' is declared {names.count(name)} times")
