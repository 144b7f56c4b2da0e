"""What every contender is: a module that builds files, and opens them to search one query.

Decisions
- Effort is one number, whatever a library calls it: more finds more and takes longer. It is what
  the sweep moves; all else is a variant.
- A variant is what its builder would choose by trying: build options, and options of the search
  that are not its effort. Variants with equal build options share their files.
- Files hold all that a search needs, but for the items' vectors where `reads_items` says that those
  beside the index are read: they lie there in any case.
- A search is the library's own call for one query, as its users make it. Queries have their weights
  already: scaling a query costs all contenders the same.

Dimension letters: N items, M vector dims, U users, S stages, K list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bundle.segments import Segments

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Options = Mapping[str, float | str]
Usual = Literal["", "always", "heavy"]


@dataclass(frozen=True)
class Variant:
    """One way to build and to search."""

    name: str
    build: Options = field(default_factory=dict)
    search: Options = field(default_factory=dict)
    usual: Usual = ""  # where it takes part although others are enough: with what vectors
    reads_items: bool = False  # every search reads the items' vectors, beside its files

    @property
    def files(self) -> str:
        """The name of the directory that its files are in."""
        return "-".join(["index", *(f"{key}-{value}" for key, value in self.build.items())])


@dataclass(frozen=True)
class Given:
    """What a builder knows: items, two groups of users like those who will ask, default weights."""

    items: Path
    segments: Segments
    shaping_UM: Floats
    calibrating_UM: Floats
    weights_S: NDArray[np.float64]

    def read_items(self) -> Floats:
        """[N, M], mapped."""
        items_NM: Floats = np.load(self.items, mmap_mode="r")
        return items_NM

    @property
    def count(self) -> int:
        """N."""
        return len(self.read_items())


class Searcher(Protocol):
    """An opened index."""

    most: int  # the largest effort there is, or that is worth a try

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """[K] rows, best first; -1, or fewer, where it found no more."""


class Contender(Protocol):
    """A module of this package."""

    LIBRARY: str  # the distribution whose version is reported
    EFFORT: str  # what effort counts
    VARIANTS: tuple[Variant, ...]  # of the first one's files, all take part in every run

    def build(
        self, given: Given, variant: Variant, directory: Path, threads: int
    ) -> dict[str, float]:
        """Write the files of a variant; seconds of its parts, if they are of interest."""

    def open_index(self, given: Given, variant: Variant, directory: Path) -> Searcher:
        """For one thread."""


def root_multiple(count: int, times: float) -> int:
    """The power of two nearest to a multiple of √N, and 8 items in a cell at least."""
    return int(2 ** round(np.log2(max(1.0, min(times * count**0.5, count / 8)))))
