"""The effort map never promises less work than was measured nearby."""

import numpy as np
import pytest

from bundle.effort import EffortMap, EffortPoint, reduced_cells

MAP = EffortMap(
    target_recall=0.95,
    cells=64,
    k=[50, 500],
    points=[
        EffortPoint(weights=[1, 0, 0], nprobe=[4, 8], recall=[0.96, 0.96]),
        EffortPoint(weights=[0, 1, 0], nprobe=[6, 12], recall=[0.96, 0.96]),
        EffortPoint(weights=[0, 0, 1], nprobe=[9, 20], recall=[0.96, 0.96]),
        EffortPoint(weights=[1, 1, 1], nprobe=[5, 10], recall=[0.96, 0.96]),
    ],
)

NEAR = np.array([0.9, 1.0, 1.1])  # to the last point; then to the second and the third


def test_a_look_up_takes_the_largest_effort_of_the_nearest_directions():
    assert MAP.lookup(NEAR, k=50) == 9  # the nearest one's is 5, a neighbour's 9


def test_a_measured_direction_takes_its_own_effort():
    assert MAP.lookup(np.array([1.0, 1.0, 1.0]), k=50) == 5
    assert MAP.lookup(np.array([0.7, 0.7, 0.7]), k=500) == 10
    assert MAP.lookup(np.array([0.0, 0.0, 1.0]), k=50) == 9


def test_between_two_measured_lengths_effort_grows_by_a_power_of_the_length():
    efforts = [MAP.lookup(NEAR, k) for k in (50, 51, 158, 159, 499, 500)]
    middle = (9 * 20) ** 0.5  # at the geometric mean, 158.1
    assert efforts == [9, 10, int(middle) + 1, int(middle) + 1, 20, 20]


def test_a_search_that_may_be_reduced_takes_the_effort_of_the_next_measured_length():
    assert [MAP.lookup(NEAR, k, measured=True) for k in (49, 50, 51, 500)] == [9, 9, 20, 20]


def test_a_list_shorter_than_any_measured_is_searched_as_the_shortest():
    assert MAP.lookup(NEAR, k=1) == 9


def test_a_list_longer_than_any_measured_visits_every_cell():
    assert MAP.lookup(np.array([1.0, 0.0, 0.0]), k=501) == 64


def test_the_recall_told_is_the_least_of_those_the_effort_goes_by():
    points = [*MAP.points[:2], MAP.points[2].model_copy(update={"recall": [0.91, 0.97]})]
    unreached = MAP.model_copy(update={"points": [*points, MAP.points[3]]})
    assert unreached.recall(NEAR, k=50) == 0.91
    assert unreached.recall(NEAR, k=51) == 0.91  # between them the lesser
    assert unreached.recall(NEAR, k=500) == 0.96
    assert unreached.recall(NEAR, k=501) == 1.0


def test_the_recall_left_at_a_share_of_the_cells_is_the_least_of_the_neighbours():
    left = ([[0.9, 0.8], [0.8, 0.7]], [[0.85, 0.9], [0.6, 0.9]], [[0.9, 0.9], [0.7, 0.9]])
    points = [
        point.model_copy(update={"reduced": reduced})
        for point, reduced in zip(MAP.points, [*left, left[0]], strict=True)
    ]
    reducible = EffortMap.model_validate(
        MAP.model_dump() | {"shares": [0.7, 0.5], "points": [p.model_dump() for p in points]}
    )
    assert reducible.recall(NEAR, k=50, share=0.7) == 0.85
    assert reducible.recall(NEAR, k=500, share=0.5) == 0.7
    assert reducible.recall(NEAR, k=51, share=0.5) == 0.7  # the longer one's


def test_a_share_of_the_cells_is_one_at_least():
    assert [reduced_cells(10, 0.7), reduced_cells(10, 0.35), reduced_cells(1, 0.35)] == [7, 4, 1]


def test_multiplying_the_weights_keeps_the_effort():
    weights_S = np.array([0.3, 0.5, 0.1])
    assert MAP.lookup(weights_S, 50) == MAP.lookup(1000 * weights_S, 50)


@pytest.mark.parametrize(
    "change",
    [
        {"k": [500, 50]},
        {"k": [50]},
        {"cells": 10},
        {"points": []},
        {"target_recall": 0.0},
        {"shares": [0.5, 0.7]},
        {"shares": [0.7]},
    ],
)
def test_an_inconsistent_map_is_refused(change):
    with pytest.raises(ValueError, match=r"k|nprobe|target_recall|points|shares"):
        EffortMap.model_validate(MAP.model_dump() | change)
