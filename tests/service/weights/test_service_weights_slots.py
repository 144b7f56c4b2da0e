"""Who is in which variant: stable, exact shares, and nobody moves who need not."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.weights.slots import (
    SLOTS,
    TooFewSlotsError,
    are_ranges,
    holds,
    members,
    ranges,
    resized,
    size,
    slot_of,
)

VARIANTS = "abcd"
CHANGES = st.lists(
    st.tuples(st.sampled_from(VARIANTS), st.integers(0, SLOTS), st.integers(0, SLOTS - 1)),
    max_size=8,
)


def owners(variants):
    return {slot: name for name, slots in variants.items() for slot in members(slots)}


@settings(max_examples=50, deadline=None)
@given(CHANGES)
def test_a_changed_share_is_exact_and_moves_only_the_slots_it_needs(changes):
    variants = dict.fromkeys(VARIANTS, ())
    for name, wanted, place in changes:
        before, own = owners(variants), variants[name]
        others = [slots for other, slots in variants.items() if other != name]
        if wanted > SLOTS - sum(map(size, others)):
            with pytest.raises(TooFewSlotsError):
                resized(own, others, wanted, place)
            continue
        variants[name] = resized(own, others, wanted, place)
        after = owners(variants)
        moved = [slot for slot in range(SLOTS) if before.get(slot) != after.get(slot)]
        assert size(variants[name]) == len(members(variants[name])) == wanted
        assert len(moved) == abs(wanted - size(own))
        assert all(name in (before.get(slot), after.get(slot)) for slot in moved)
        assert are_ranges(variants[name])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, SLOTS - 1), st.integers(0, SLOTS), st.integers(0, SLOTS))
def test_a_share_that_goes_and_comes_back_has_the_users_it_had(place, small, large):
    small, large = sorted((small, large))
    grown = resized((), [], large, place)
    assert resized(resized(grown, [], small, place), [], large, place) == grown
    assert resized(resized(grown, [], 0, place), [], large, place) == grown


@settings(deadline=None)
@given(st.sets(st.integers(0, SLOTS - 1), max_size=50))
def test_ranges_hold_exactly_their_slots(slots):
    found = ranges(slots)
    assert members(found) == slots
    assert are_ranges(found)
    near = {slot + step for slot in slots for step in (-1, 0, 1)} & set(range(SLOTS))
    assert {slot for slot in near if holds(found, slot)} == slots


@pytest.mark.parametrize(
    "slots", [((0, 5), (5, 9)), ((5, 5),), ((-1, 3),), ((9999, 10_001),), ((5, 6), (1, 2))]
)
def test_other_forms_of_slots_are_not_ranges(slots):
    assert not are_ranges(slots)


def test_a_slot_is_the_same_on_every_machine_and_in_every_version():
    assert slot_of("feed", "u00014") == 4587
    assert slot_of("search", "u00014") == 2014
    assert slot_of("feed", "лена \ud800") == slot_of("feed", "лена \ud800")


def test_users_fall_into_all_slots_alike_and_independently_of_other_scenarios():
    """Chi-squared over 100 cells, so of 99 degrees of freedom, within 4 standard deviations."""
    users = [f"u{number}" for number in range(20_000)]
    cells = Counter(slot_of("feed", user) // 100 for user in users)
    both = Counter((slot_of("feed", u) // 1000, slot_of("search", u) // 1000) for u in users)
    for counts in (cells, both):
        expected = len(users) / 100
        chi_squared = sum((count - expected) ** 2 / expected for count in counts.values())
        assert len(counts) == 100
        assert 99 - 4 * math.sqrt(198) < chi_squared < 99 + 4 * math.sqrt(198)
