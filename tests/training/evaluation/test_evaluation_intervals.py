"""The paired bootstrap: how often it is right, and what it is drawn over."""

import time

import numpy as np
import pytest

from training.errors import ConfigError
from training.evaluation.front import Yardstick, hypervolume
from training.evaluation.intervals import Draws

UNIT = Yardstick((0.0, 0.0), (1.0, 1.0))


def compare_means(ours_SQ, theirs_SQ, user_Q, replicates=1000):
    draws = Draws.of(user_Q, len(ours_SQ), replicates)
    return draws.difference(draws.means(ours_SQ), draws.means(theirs_SQ))


def compare_fronts(ours_LOQ, theirs_LOQ, user_Q, replicates=1000, yardstick=UNIT):
    """Of one seed."""
    draws = Draws.of(user_Q, 1, replicates)

    def volumes(recall_LOQ):
        points_RLO = np.stack([draws.means(recall_LOQ[:, o]) for o in range(2)], axis=-1)
        return hypervolume(yardstick.scaled(points_RLO))[:, None]

    return draws.difference(volumes(ours_LOQ), volumes(theirs_LOQ))


def covered(difference, truth):
    return difference.low <= truth <= difference.high


def test_95_of_100_intervals_hold_the_true_difference():
    rng, user_Q, hits = np.random.default_rng(0), np.repeat(np.arange(60), 4), 0
    for _ in range(200):
        theirs_Q = rng.normal(0.3, 0.2, 60)[user_Q] + rng.normal(0, 0.1, 240)
        change_Q = rng.normal(0.02, 0.1, 60)[user_Q] + rng.normal(0, 0.05, 240)
        ours_Q = theirs_Q + change_Q
        hits += covered(compare_means(ours_Q[None], theirs_Q[None], user_Q, 300), 0.02)
    assert 0.91 <= hits / 200 <= 0.98


def test_page_views_of_one_user_count_as_one_draw():
    """Each user's page views are copies: the interval is that of users, not four times surer."""
    rng = np.random.default_rng(1)
    ours_U, theirs_U = rng.random((2, 80))
    each = compare_means(ours_U[None], theirs_U[None], np.arange(80))
    copied = [np.repeat(recall_U, 4)[None] for recall_U in (ours_U, theirs_U)]
    clustered = compare_means(*copied, np.repeat(np.arange(80), 4))
    assert clustered.low == pytest.approx(each.low)
    assert clustered.high == pytest.approx(each.high)


def test_seeds_that_disagree_widen_the_interval_to_their_own_spread():
    rng = np.random.default_rng(2)
    theirs_SQ = np.full((8, 500), 0.5)
    change_S = rng.normal(0.02, 0.02, 8)
    found = compare_means(theirs_SQ + change_S[:, None], theirs_SQ, np.arange(500))
    expected = 1.96 * change_S.std(ddof=1) / np.sqrt(8)
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.15)


def test_equal_lists_differ_by_nothing_for_certain():
    recall_SQ = np.random.default_rng(3).random((3, 50))
    found = compare_means(recall_SQ, recall_SQ, np.arange(50))
    assert (found.estimate, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_a_clear_difference_has_a_small_p_and_a_chance_one_a_large_one():
    theirs_Q = np.random.default_rng(4).random(400)
    noise_Q = np.random.default_rng(5).normal(0, 0.1, 400)
    users_Q = np.arange(400)
    clear = compare_means((theirs_Q + noise_Q + 0.05)[None], theirs_Q[None], users_Q)
    chance = compare_means((theirs_Q + noise_Q - noise_Q.mean())[None], theirs_Q[None], users_Q)
    assert clear.p < 0.01
    assert chance.p > 0.5


def test_a_query_that_is_not_judged_is_not_averaged():
    ours_Q, theirs_Q = np.array([1, 1, np.nan] * 20), np.array([0, 0.5, np.nan] * 20)
    found = compare_means(ours_Q[None], theirs_Q[None], np.arange(60))
    assert found.estimate == pytest.approx(0.75)


def test_the_first_replicate_of_a_front_is_the_hypervolume_of_its_means():
    rng = np.random.default_rng(6)
    ours_LOQ, theirs_LOQ = rng.random((4, 2, 30)), rng.random((2, 2, 30))
    ours_LOQ[:, 1, ::3] = theirs_LOQ[:, 1, ::3] = np.nan  # requests without a conversion
    found = compare_fronts(ours_LOQ, theirs_LOQ, np.arange(30))
    ours, theirs = (hypervolume(np.nanmean(each, axis=2)) for each in (ours_LOQ, theirs_LOQ))
    assert found.estimate == pytest.approx(ours - theirs)


def test_two_fronts_of_equal_worth_seldom_differ():
    rng, angle_L = np.random.default_rng(7), np.linspace(0, np.pi / 2, 10)
    arc_LO = 0.4 + 0.1 * np.stack([np.cos(angle_L), np.sin(angle_L)], axis=1)
    differ, yardstick = 0, Yardstick((0.2, 0.2), (0.6, 0.6))
    for _ in range(60):
        shared_OQ = rng.normal(0, 0.3, (2, 200))
        ours_LOQ, theirs_LOQ = arc_LO[:, :, None] + shared_OQ + rng.normal(0, 0.1, (2, 10, 2, 200))
        found = compare_fronts(ours_LOQ, theirs_LOQ, np.arange(200), 200, yardstick)
        differ += found.p < 0.05
    assert differ <= 6


def test_a_front_held_against_nothing_is_its_own_hypervolume():
    recall_LOQ = np.random.default_rng(9).random((4, 2, 100))
    found = compare_fronts(recall_LOQ, recall_LOQ[:0], np.arange(100))
    assert found.estimate == pytest.approx(hypervolume(recall_LOQ.mean(axis=2)))
    assert found.low < found.estimate < found.high


def test_a_thousand_replicates_of_a_hundred_lists_take_seconds():
    rng = np.random.default_rng(8)
    user_Q = rng.integers(0, 3000, 5000)
    ours_LOQ, theirs_LOQ = rng.random((2, 100, 2, 5000))
    started = time.process_time()
    compare_fronts(ours_LOQ, theirs_LOQ, user_Q)
    assert time.process_time() - started < 10


def test_an_interval_over_a_few_users_is_refused():
    recall_Q = np.full(50, np.nan)
    recall_Q[:2] = 0.5
    with pytest.raises(ConfigError, match="2 users have a positive"):
        Draws.of(np.arange(50), 1, 200).means(recall_Q[None])
