"""The effort map never promises less work than was measured nearby."""

import numpy as np
import pytest

from bundle.effort import EffortMap, EffortPoint

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


def test_a_look_up_takes_the_largest_effort_of_the_nearest_directions():
    assert MAP.lookup(np.array([0.0, 0.0, 1.0]), k=50) == 9
    assert MAP.lookup(np.array([1.0, 1.0, 1.0]), k=50) == 9  # its own is 5, a neighbour's 9


def test_a_list_length_between_two_measured_ones_takes_the_longer():
    assert MAP.lookup(np.array([1.0, 1.0, 1.0]), k=51) == 20


def test_a_list_longer_than_any_measured_visits_every_cell():
    assert MAP.lookup(np.array([1.0, 0.0, 0.0]), k=501) == 64


def test_the_recall_told_is_the_least_of_those_the_effort_goes_by():
    points = [*MAP.points[:2], MAP.points[2].model_copy(update={"recall": [0.91, 0.97]})]
    unreached = MAP.model_copy(update={"points": [*points, MAP.points[3]]})
    assert unreached.recall(np.array([1.0, 1.0, 1.0]), k=50) == 0.91
    assert unreached.recall(np.array([1.0, 1.0, 1.0]), k=51) == 0.96
    assert unreached.recall(np.array([1.0, 1.0, 1.0]), k=501) == 1.0


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
    ],
)
def test_an_inconsistent_map_is_refused(change):
    with pytest.raises(ValueError, match=r"k|nprobe|target_recall|points"):
        EffortMap.model_validate(MAP.model_dump() | change)
