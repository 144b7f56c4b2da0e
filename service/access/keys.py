"""Keys of callers: names, roles and hashes in one JSON file; the keys themselves are kept nowhere.

Decisions
- A key is 256 random bits, so one SHA-256 of it gives nothing away, and no slow hash is spent on
  each request.
- Roles nest: who may operate may retrieve, and an admin may do all.
- The file is replaced as a whole, readable by its owner only; edits take turns under a lock of its
  folder, so that two at once lose nothing.

    key = add_key(Path("keys.json"), "ranker", "retrieve")
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from bundle.writing import to_json, write_atomically

Role = Literal["retrieve", "operate", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)  # each may do what those before it may
PREFIX = "csmf_"  # so that a key that leaked into a text is found by those who look for keys
OWNER_ONLY = 0o600

KeyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class KeysError(ValueError):
    """A file of keys that cannot be used, or an edit that makes no sense; one line."""


class Key(BaseModel):
    """Who holds a key and what they may do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: KeyName
    role: Role
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    created: AwareDatetime

    def may(self, role: Role) -> bool:
        """Whether this key has the role, or one that contains it."""
        return ROLES.index(self.role) >= ROLES.index(role)


class KeysFile(BaseModel):
    """All keys, in the order in which they were made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["csmf-keys"] = "csmf-keys"
    format_version: Literal[1] = 1
    keys: tuple[Key, ...]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [key.name for key in self.keys]
        if len(set(names)) < len(names):
            raise ValueError(f"expected each name once, got {names}")
        return self


def digest_of(key: str) -> str:
    """What the file keeps of a key."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def read_keys(file: Path) -> tuple[Key, ...]:
    """The keys of a file. Raises KeysError, which never shows what the file holds."""
    try:
        return KeysFile.model_validate_json(file.read_bytes()).keys
    except OSError as error:
        remedy = "make one with: csmf-keys new NAME --role operate --file"
        raise KeysError(f"{file}: {error.strerror}; {remedy} {file}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise KeysError(f"{file}: {field or 'file of keys'}: {first['msg']}") from None


def add_key(file: Path, name: str, role: Role) -> str:
    """Make a key and add it; the key itself, which is shown this once. Raises KeysError."""
    key = PREFIX + secrets.token_urlsafe(32)
    with _editing(file):
        keys = read_keys(file) if file.exists() else ()
        if name in (other.name for other in keys):
            raise KeysError(f"{file}: there is a key {name!r} already; revoke it first")
        try:
            made = Key(name=name, role=role, sha256=digest_of(key), created=datetime.now(UTC))
        except ValidationError:
            rule = "letters, digits, `_`, `.` and `-`, at most 64"
            raise KeysError(f"name: expected {rule}, got {name!r}") from None
        _write(file, (*keys, made))
    return key


def revoke(file: Path, name: str) -> None:
    """Remove a key by its name. Raises KeysError."""
    with _editing(file):
        keys = read_keys(file)
        kept = tuple(key for key in keys if key.name != name)
        if len(kept) == len(keys):
            names = ", ".join(key.name for key in keys) or "none"
            raise KeysError(f"{file}: there is no key {name!r}; there are: {names}")
        _write(file, kept)


@contextmanager
def _editing(file: Path) -> Iterator[None]:
    try:
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
    except OSError as error:
        raise KeysError(f"{file}: cannot be written: {error.strerror}") from None


def _write(file: Path, keys: tuple[Key, ...]) -> None:
    write_atomically(file, to_json(KeysFile(keys=keys)), mode=OWNER_ONLY)
