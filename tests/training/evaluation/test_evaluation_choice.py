"""The grid of weights, and what is recommended from it."""

from math import comb

import numpy as np
import pytest

from bundle.scoring import segment_scales
from training.evaluation.choice import front_rows, goals, weight_grid

STAGES = ("exposure", "click", "conversion")


def test_the_grid_is_every_direction_whose_scales_do_not_increase():
    scales = {
        tuple(segment_scales(weights.as_array()).round(6).tolist())
        for weights in weight_grid(STAGES, 4)
    }
    quarters = [0, 0.25, 0.5, 0.75, 1]
    assert scales == {(1, a, b) for a in quarters for b in quarters if b <= a}


@pytest.mark.parametrize("stages", [2, 3, 4, 5])
def test_the_default_grid_of_any_cascade_has_a_bearable_size(stages):
    grid = weight_grid([f"s{place}" for place in range(stages)])
    assert 20 < len(grid) <= 70
    assert len({weights.values for weights in grid}) == len(grid)


def test_a_grid_of_one_step_is_each_stage_alone():
    assert [each.values for each in weight_grid(STAGES, 1)] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert len(weight_grid(STAGES, 10)) == comb(12, 2)


def test_each_goal_keeps_what_it_says_and_takes_the_most_of_the_rest():
    recall_LO = np.array(
        [  # exposure, click, conversion
            [0.50, 0.30, 0.20],
            [0.40, 0.40, 0.30],
            [0.30, 0.395, 0.39],
            [0.20, 0.35, 0.40],
            [0.495, 0.32, 0.25],
            [0.10, 0.38, 0.385],
        ]
    )
    chosen = {goal.name: goal.choose(recall_LO, STAGES) for goal in goals(STAGES)}
    assert chosen == {"balanced": 2, "keep_exposure": 4, "keep_click": 2, "keep_conversion": 3}


def test_a_goal_says_in_words_what_it_is():
    sentences = {goal.name: goal.sentence for goal in goals(STAGES)}
    assert sentences["keep_conversion"] == (
        "at most 2% fewer conversions than the best list, most clicks"
    )


def test_two_stages_have_no_goal_for_the_first_of_three():
    assert [goal.name for goal in goals(STAGES[1:])] == [
        "balanced",
        "keep_click",
        "keep_conversion",
    ]


def test_the_front_is_that_of_the_last_two_stages_from_end_to_end():
    recall_LO = np.array([[0.9, 0.1, 0.1], [0.1, 0.2, 0.5], [0.1, 0.4, 0.3], [0.1, 0.3, 0.2]])
    assert front_rows(recall_LO).tolist() == [2, 1]
