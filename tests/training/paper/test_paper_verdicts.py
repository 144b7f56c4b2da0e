"""The three goals."""

import numpy as np
import pytest
from support.judged import found, front

from training.evaluation.intervals import Difference
from training.paper.contender import WEIGHTS
from training.paper.findings import Findings
from training.paper.fronts import Fronts
from training.paper.study import QUICK, Variant
from training.paper.verdicts import (
    FAILED,
    HELD,
    NOISE,
    ahead_on_both,
    best_union,
    outcome,
    verdicts,
)

STAGES = ("exposure", "click", "conversion")


def fronts(levels):
    variants = {variant.name: variant for variant in QUICK.main(QUICK.logs[0])}
    runs = {
        name: {seed: found(variants[name], STAGES, level, seed) for seed in range(2)}
        for name, level in levels.items()
    }
    return Fronts(Findings(QUICK.logs[0], runs))


def outcomes(levels):
    return [each.outcome for each in verdicts(QUICK, fronts(levels))]


def test_a_method_that_is_better_everywhere_meets_all_goals():
    assert outcomes({"csmf": 0.7, "full-ft": 0.6, "youtubednn-mix": 0.5}) == [HELD] * 3


def test_a_method_that_is_worse_everywhere_meets_none():
    assert outcomes({"csmf": 0.5, "full-ft": 0.6, "youtubednn-mix": 0.75}) == [FAILED] * 3


def test_what_has_not_been_run_has_no_verdict():
    assert outcomes({"csmf": 0.7}) == ["not run"] * 3


def test_one_part_that_fails_is_enough_to_fail_a_goal():
    sure, unsure, against = (
        Difference(x, x - 0.01, x + 0.01, p) for x, p in ((0.02, 0.01), (0.002, 0.7), (-0.02, 0.01))
    )
    assert outcome([sure, sure]) == HELD
    assert outcome([sure, unsure]) == NOISE
    assert outcome([sure, unsure, against]) == FAILED


def test_of_many_parts_one_that_chance_explains_fails_no_goal():
    sure, against = Difference(0.02, 0.01, 0.03, 0.01), Difference(-0.02, -0.03, -0.01, 0.02)
    assert outcome([against]) == FAILED
    assert outcome([sure, against]) == FAILED
    assert outcome([sure, sure, against]) == NOISE


def test_a_front_that_is_not_the_largest_is_named():
    first, *_ = verdicts(QUICK, fronts({"csmf": 0.6, "full-ft": 0.6, "lora": 0.7}))
    assert first.outcome == FAILED
    assert "smaller than 3 (lora (joined); lora (merged); all retrained" in first.sentence


def test_weights_and_the_best_union_are_chosen_on_validation():
    each = fronts({"csmf": 0.6, "youtubednn-mix x2": 0.5, "youtubednn-mix x10": 0.6})
    for run in each.findings.runs["csmf"].values():
        lists = {"chosen": [0.0, 0.6, 0.6], "lucky": [0.0, 0.9, 0.9]}
        run.fronts[WEIGHTS] = front(lists)
        run.fronts[WEIGHTS].validation_LO[1] = [0.0, 0.1, 0.1]
    verdict = ahead_on_both(QUICK, each.findings)
    assert verdict.sentence.startswith("Weights chosen against youtubednn-mix x10: click 0.600")
    assert verdict.parts["click"].estimate == pytest.approx(0.6 - 0.55)


def test_the_third_goal_allows_two_per_cent():
    third = verdicts(QUICK, fronts({"csmf": 0.595, "full-ft": 0.6}))[2]
    assert np.isclose(third.parts["click, full-ft"].estimate, 0.595 - 0.98 * 0.6, atol=0.003)
    assert "click -0.8% over full-ft" in third.sentence


def test_the_third_goal_is_held_against_the_best_way_to_fine_tune():
    third = verdicts(QUICK, fronts({"csmf": 0.6, "full-ft": 0.5, "bitfit": 0.7}))[2]
    assert third.outcome == FAILED
    assert "over bitfit (the opposite is shown)" in third.sentence


def test_the_best_union_is_chosen_over_seeds_that_all_have():
    each = fronts({"csmf": 0.6, "youtubednn-mix x2": 0.5, "youtubednn-mix x10": 0.55}).findings
    better = found(Variant("youtubednn-mix x2", "youtubednn-mix"), STAGES, 0.9, 7)
    each.runs["youtubednn-mix x2"][7] = better  # a seed that nobody else has
    assert best_union(QUICK, each) == "youtubednn-mix x10"


def test_unions_of_other_seeds_than_csmf_are_no_ground_for_a_verdict():
    each = fronts({"csmf": 0.6, "youtubednn-mix": 0.5}).findings
    each.runs["youtubednn-mix"] = {7: each.runs["youtubednn-mix"][0]}
    assert ahead_on_both(QUICK, each).outcome == "not run"
