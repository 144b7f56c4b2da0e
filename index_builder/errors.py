"""What can stop a build, beside a malformed bundle: bad input, and recall below the target."""

from __future__ import annotations


class InputError(ValueError):
    """A table that cannot be indexed: file, place in it, what is wrong and what to do."""

    def __init__(self, file: str, place: str, *, found: str, remedy: str) -> None:
        self.file, self.place, self.found, self.remedy = file, place, found, remedy
        where = f"{file}: {place}" if place else file
        super().__init__(f"{where}: {found}; {remedy}")


class BelowTargetError(Exception):
    """No search effort within bounds reaches the target recall; nothing was written."""
