"""Category → row of its embedding table: a dictionary, or sorted bytes where there are many.

Decisions
- A million categories as Python texts in a dictionary take 150 MB of each process; as an array of
  bytes 10 to 20. So from LARGE entries on they are packed, as are those that a bundle has in files
  (schema.py), and looked up by binary search: as fast as the dictionary for a user's 50 items, some
  microseconds slower for one.
- Packed or not, entries are a sequence of texts in the order of the rows.
- What does not pack well stays a list: a text much longer than the others, or one with NUL in it,
  which bytes of one width cannot end with.

    entries = packed(["blue", "red"])
    look_up(entries).rows(["red", "green"])     # [2, 0]: counted from 1, 0 is unknown
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Annotated, Protocol, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, PlainSerializer

LARGE = 65_536  # entries
WIDEST = 64  # bytes of an entry that is packed


class Vocabulary(Protocol):
    """What encoders look categories up in."""

    def rows(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """The row of each key, counted from 1; 0 where it is unknown."""


class Packed(Sequence[str]):
    """Many entries, all different, as bytes of one width."""

    def __init__(self, entries_V: NDArray[np.bytes_]) -> None:
        self.entries_V = entries_V
        ascending = bool((entries_V[1:] > entries_V[:-1]).all())
        self._order_V = None if ascending else np.argsort(entries_V, kind="stable").astype(np.int32)
        self._sorted_V = entries_V if self._order_V is None else entries_V[self._order_V]

    def __len__(self) -> int:
        return len(self.entries_V)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [entry.decode() for entry in self.entries_V[place].tolist()]
        return str(self.entries_V[place].decode())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self[:] == other[:]

    __hash__ = None  # type: ignore[assignment]  # a sequence of texts, like a list

    @property
    def ascending(self) -> bool:
        """Whether the entries are sorted as bytes, which is by code points."""
        return self._order_V is None

    @property
    def distinct(self) -> bool:
        """Whether no entry is empty, and none is twice."""
        return bool(self._sorted_V[0] != b"" and (self._sorted_V[1:] > self._sorted_V[:-1]).all())

    def rows(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """The row of each key, counted from 1; 0 where it is unknown."""
        keys_K = np.array(_fitting(keys, self._sorted_V.dtype.itemsize), self._sorted_V.dtype)
        places_K = np.minimum(np.searchsorted(self._sorted_V, keys_K), len(self) - 1)
        known_K = self._sorted_V[places_K] == keys_K
        rows_K = places_K if self._order_V is None else self._order_V[places_K]
        return np.where(known_K, rows_K + 1, 0).astype(np.int64)


def _fitting(keys: Sequence[str], width: int) -> Sequence[str | bytes]:
    """What bytes of one width can be made of; nothing of keys that they cannot hold."""
    together = "".join(keys)
    plain = together.isascii() and "\0" not in together
    if plain and max(map(len, keys), default=0) <= width:
        return keys  # nearly always, and then numpy makes the bytes
    encoded = [key.encode("utf-8", "surrogatepass") for key in keys]
    return [key if len(key) <= width and b"\0" not in key else b"" for key in encoded]


class _Listed:
    def __init__(self, entries: Sequence[str]) -> None:
        self._row_of = {entry: row for row, entry in enumerate(entries, start=1)}

    def rows(self, keys: Sequence[str]) -> NDArray[np.int64]:
        return np.fromiter(map(self._row_of.get, keys, repeat(0)), np.int64, len(keys))


def packed(entries: Sequence[str]) -> Sequence[str]:
    """The same entries, in little memory if there are many."""
    if len(entries) < LARGE or isinstance(entries, Packed):
        return entries
    try:
        content = "".join(entries).encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return entries
    texts = entries if content.isascii() else map(str.encode, entries)
    lengths_V = np.fromiter(map(len, texts), np.int64, len(entries))
    width = int(lengths_V.max())
    if width > WIDEST or b"\0" in content:
        return entries
    bytes_VW = np.zeros((len(entries), width), np.uint8)
    bytes_VW[np.arange(width) < lengths_V[:, None]] = np.frombuffer(content, np.uint8)
    return Packed(bytes_VW.view(f"S{width}")[:, 0])


def are_distinct(entries: Sequence[str]) -> bool:
    """Whether no entry is empty, and none is twice."""
    if isinstance(entries, Packed):
        return entries.distinct
    return "" not in entries and len(set(entries)) == len(entries)


def look_up(entries: Sequence[str]) -> Vocabulary:
    """What to look the entries up in."""
    return entries if isinstance(entries, Packed) else _Listed(entries)


Entries = Annotated[list[str], AfterValidator(packed), PlainSerializer(list)]  # of a model
