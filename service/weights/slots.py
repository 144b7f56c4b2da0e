"""Who belongs to which variant: 10,000 slots of traffic per scenario, and who owns them.

Decisions
- A user's slot is a hash of the scenario and the user id: the same on every worker and machine,
  today and after a restart, and independent between scenarios.
- A variant owns named slots, not a share: when one share changes, only the slots that it takes or
  gives back change hands. Whoever is in no variant's slots is served the scenario's own weights.
- A variant takes the free slots that come first from a place of its own on the circle of slots (a
  hash of its name), and gives back those that come last. Few ranges are enough for that; a variant
  that comes back finds its users again, and one after another do not all try the same users.
- Slots say nothing about users, as the hash scatters them; a range is as fair a sample as any.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from hashlib import blake2b
from itertools import pairwise

SLOTS = 10_000  # shares are multiples of 0.01 %

Range = tuple[int, int]  # first slot, and the one after the last
Slots = tuple[Range, ...]  # ascending, with gaps between them


class TooFewSlotsError(ValueError):
    """More slots are wanted than are free."""

    def __init__(self, wanted: int, available: int) -> None:
        self.wanted, self.available = wanted, available
        super().__init__(f"expected at most {available} slots, got {wanted}")


def slot_of(scenario: str, name: str) -> int:
    """The slot of a user, or the place of a variant, in a scenario."""
    text = f"{scenario}\n{name}".encode("utf-8", "surrogatepass")  # no scenario has a line break
    return int.from_bytes(blake2b(text, digest_size=8).digest()) % SLOTS


def holds(slots: Slots, slot: int) -> bool:
    """Whether a slot is among these."""
    before = bisect_right(slots, (slot, SLOTS))
    return before > 0 and slot < slots[before - 1][1]


def size(slots: Slots) -> int:
    """How many slots there are."""
    return sum(end - start for start, end in slots)


def members(slots: Slots) -> set[int]:
    """The slots one by one."""
    return {slot for start, end in slots for slot in range(start, end)}


def resized(own: Slots, others: Iterable[Slots], wanted: int, place: int) -> Slots:
    """`own` with `wanted` slots: as many as possible stay. Raises TooFewSlotsError."""
    held, taken = members(own), set[int]().union(*map(members, others))
    if wanted > SLOTS - len(taken):
        raise TooFewSlotsError(wanted, SLOTS - len(taken))
    from_place = [*range(place, SLOTS), *range(place)]
    kept = [slot for slot in from_place if slot in held]
    free = [slot for slot in from_place if slot not in held and slot not in taken]
    return ranges([*kept, *free][:wanted])


def ranges(slots: Iterable[int]) -> Slots:
    """Slots, in any order, as ranges."""
    ordered = sorted(slots)
    starts = ordered[:1] + [b for a, b in pairwise(ordered) if b - a > 1]
    ends = [a + 1 for a, b in pairwise(ordered) if b - a > 1] + [s + 1 for s in ordered[-1:]]
    return tuple(zip(starts, ends, strict=True))


def are_ranges(slots: Slots) -> bool:
    """Whether these are slots in the one form that the same slots always have."""
    edges = [edge for both in slots for edge in both]
    return all(a < b for a, b in pairwise([-1, *edges, SLOTS + 1]))
