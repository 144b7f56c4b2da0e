"""Cascade layout and operators' weights: what is accepted, and what a refusal says."""

import math

import pytest

from bundle.segments import Segments
from bundle.weights import ObjectiveWeights, WeightsError

STAGES = ("exposure", "click", "conversion")


def test_segments_tile_the_vector_in_cascade_order():
    segments = Segments(STAGES, (24, 20, 20))
    assert segments.dim == 64
    assert segments.ends == (24, 44, 64)
    assert segments.slices == (slice(0, 24), slice(24, 44), slice(44, 64))


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        ((), ()),
        (tuple("abcdef"), (1,) * 6),
        (("a", "a"), (1, 1)),
        (("a", "b"), (1, 0)),
        (("a", "b"), (1,)),
    ],
)
def test_a_cascade_that_cannot_exist_is_refused(names, sizes):
    with pytest.raises(ValueError, match=r"stages|differ|size"):
        Segments(names, sizes)


def test_stage_names_and_the_papers_aliases_mean_the_same():
    by_stage = ObjectiveWeights.parse({"exposure": 1, "click": 1.8, "conversion": 1.2}, STAGES)
    by_alias = ObjectiveWeights.parse({"k_d": 1, "k_o": 1.8, "k_r": 1.2}, STAGES)
    assert by_stage == by_alias
    assert by_alias.as_dict() == {"exposure": 1.0, "click": 1.8, "conversion": 1.2}


@pytest.mark.parametrize(
    ("weights", "field"),
    [
        ({"exposure": 1, "click": 1}, "conversion"),
        ({"exposure": 1, "click": 1, "conversion": -0.1}, "conversion"),
        ({"exposure": 1, "click": math.nan, "conversion": 1}, "click"),
        ({"exposure": math.inf, "click": 1, "conversion": 1}, "exposure"),
        ({"exposure": 1e-9, "click": 1, "conversion": 1}, "exposure"),
        ({"exposure": 1e9, "click": 1, "conversion": 1}, "exposure"),
        ({"exposure": "1", "click": 1, "conversion": 1}, "exposure"),
        ({"exposure": True, "click": 1, "conversion": 1}, "exposure"),
        ({"exposure": None, "click": 1, "conversion": 1}, "exposure"),
        ({"exposure": 0, "click": 0, "conversion": 0}, "*"),
        ({"exposure": 1, "click": 1, "conversion": 1, "sale": 1}, "sale"),
        ({"exposure": 1, "k_d": 1, "k_o": 1, "k_r": 1}, "k_d"),
        ({}, "exposure"),
    ],
)
def test_unusable_weights_are_refused_by_field(weights, field):
    with pytest.raises(WeightsError) as refusal:
        ObjectiveWeights.parse(weights, STAGES)
    assert refusal.value.field == field
    assert refusal.value.expected in str(refusal.value)


def test_aliases_belong_to_cascades_of_three():
    with pytest.raises(WeightsError, match="one of the stages"):
        ObjectiveWeights.parse({"k_d": 1, "k_o": 1}, ("click", "conversion"))
