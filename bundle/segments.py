"""Where each stage's segment lies in an embedding: the only place where offsets exist.

A vector of M dims is the concatenation of one segment per stage of the cascade, upstream first:
`[e_d ; e_o ; e_r]` in the paper (Sec. 4.2), for up to 5 stages here. A plain two-tower model is one
segment: the fused score of Eq. 8 is then its inner product, times a constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

MAX_STAGES = 5


@dataclass(frozen=True)
class Segments:
    """Stage names and segment sizes, in cascade order.

    Raises ValueError for no or more than 5 stages, repeated names, or an empty segment.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= MAX_STAGES:
            raise ValueError(f"a cascade has 1 to 5 stages, not {len(self.names)}: {self.names}")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"stage names must differ: {self.names}")
        if len(self.sizes) != len(self.names) or min(self.sizes) < 1:
            raise ValueError(f"need one size >= 1 for each of {self.names}, not {self.sizes}")

    @property
    def dim(self) -> int:
        """M, the length of a whole vector."""
        return sum(self.sizes)

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Length of the prefix that each stage's own score reads: m_d, m_d + m_o, …"""
        return tuple(accumulate(self.sizes))

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """One slice of the vector per stage."""
        return tuple(
            slice(end - size, end) for end, size in zip(self.ends, self.sizes, strict=True)
        )
