"""The front of two objectives and its hypervolume, held against moocore."""

import moocore
import numpy as np
import pytest

from training.errors import ConfigError
from training.evaluation.front import Yardstick, hypervolume, on_front


@pytest.mark.parametrize("seed", range(20))
def test_front_and_hypervolume_are_those_of_an_independent_library(seed):
    points_L2 = np.random.default_rng(seed).integers(-1, 9, (12, 2)) / 8  # ties, duplicates
    expected = moocore.is_nondominated(points_L2, maximise=True, keep_weakly=False)
    np.testing.assert_array_equal(on_front(points_L2), expected)
    volume = moocore.hypervolume(points_L2, ref=[0, 0], maximise=True)
    assert hypervolume(points_L2) == pytest.approx(volume)


def test_many_sets_of_points_are_measured_at_once():
    points_RL2 = np.random.default_rng(0).normal(size=(5, 7, 2))
    expected = [hypervolume(points_L2) for points_L2 in points_RL2]
    np.testing.assert_allclose(hypervolume(points_RL2), expected)


def test_matching_both_single_objective_models_at_once_is_one():
    yardstick = Yardstick(reference=(0.2, 0.1), corner=(0.3, 0.2))
    assert hypervolume(yardstick.scaled(np.array([[0.3, 0.2]]))) == pytest.approx(1)
    apart_L2 = np.array([[0.3, 0.1], [0.2, 0.2]])
    assert hypervolume(yardstick.scaled(apart_L2)) == pytest.approx(0, abs=1e-9)


def test_no_points_hold_nothing():
    assert hypervolume(np.empty((0, 2))) == 0


def test_a_yardstick_without_a_length_is_refused():
    with pytest.raises(ConfigError, match="better than the reference"):
        Yardstick(reference=(0.2, 0.3), corner=(0.3, 0.3))
