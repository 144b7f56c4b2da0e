"""Fronts against each other."""

from itertools import combinations

import numpy as np
import pytest
from support.judged import found

from training.evaluation.front import hypervolume
from training.paper.findings import Findings, sample_mean
from training.paper.fronts import Contestant, Fronts, contestants, front_of, thinned
from training.paper.study import FULL, QUICK

STAGES = ("exposure", "click", "conversion")


def fronts(levels, stages=STAGES):
    variants = {variant.name: variant for variant in QUICK.main(QUICK.logs[0])}
    runs = {
        name: {seed: found(variants[name], stages, level, seed) for seed in range(2)}
        for name, level in levels.items()
    }
    return Fronts(Findings(QUICK.logs[0], runs))


def test_thinning_adds_the_list_that_adds_most():
    points_L2 = np.random.default_rng(0).uniform(size=(12, 2))
    assert thinned(points_L2, 1) == [points_L2.prod(axis=1).argmax()]
    kept = thinned(points_L2, 3)
    best = max(hypervolume(points_L2[[*rows]]) for rows in combinations(range(12), 3))
    assert hypervolume(points_L2[kept]) >= 0.9 * best


def test_lists_that_add_nothing_are_left_out():
    points_L2 = np.array([[0.5, 0.5], [0.4, 0.4], [-1.0, 2.0], [0.5, 0.5]])
    assert thinned(points_L2, 4) == [0]


def test_zero_is_the_exposure_model_and_one_both_fine_tuned_models_at_once():
    each = fronts({"csmf": 0.6, "full-ft": 0.6})
    assert each.from_exposure
    middle = 0.5 * 0.5  # the ends, 1 by 0 and 0 by 1, hold nothing
    assert sample_mean(each.volumes(front_of("csmf"))).value == pytest.approx(middle)
    better = fronts({"csmf": 0.65, "full-ft": 0.6})
    middle_and_ends = 1 * 1 + 2 * 0.5 * 0.5
    assert sample_mean(better.volumes(front_of("csmf"))).value == pytest.approx(middle_and_ends)


def test_a_log_without_exposures_counts_from_no_recall():
    each = fronts({"csmf": 0.6, "full-ft": 0.6}, STAGES[1:])
    assert not each.from_exposure
    expected = (0.5 * 0.6 + 0.05 * 0.55 + 0.05 * 0.5) / 0.6**2
    assert sample_mean(each.volumes(front_of("csmf"))).value == pytest.approx(expected)


def test_without_the_fine_tuned_models_there_is_no_hypervolume():
    assert fronts({"csmf": 0.6}).volumes(front_of("csmf")) == {}


def test_everybody_that_was_run_takes_part_and_lists_trained_apart_are_pooled():
    each = fronts({"csmf": 0.6, "full-ft": 0.6, "moppr": 0.5, "youtubednn-mix x2": 0.5})
    assert [contestant.name for contestant in contestants(FULL, each.findings)] == [
        "csmf",
        "moppr",
        "full-ft (joined)",
        "full-ft (merged)",
        "youtubednn-mix x2",
        "youtubednn-mix retrained, 1 of 4 pooled",
        "all retrained lists of 3 variants pooled",
    ]


def test_a_pool_has_the_lists_of_all_its_parts():
    each = fronts({"full-ft": 0.6, "moppr": 0.5})
    pool = contestants(FULL, each.findings)[-1]
    assert each.lists(pool, 0).validation_L2.tolist() == [[0.45, 0.45], [0.6, 0.5], [0.5, 0.6]]


def test_the_mean_front_runs_from_one_end_to_the_other():
    each = fronts({"csmf": 0.6, "full-ft": 0.6})
    expected = [[0.5, 0.6], [0.55, 0.55], [0.6, 0.5]]
    np.testing.assert_allclose(each.mean_front(front_of("csmf")), expected)


def test_a_front_of_nobody_has_no_seeds():
    assert fronts({"full-ft": 0.6}).seeds(Contestant("none", ())) == []
