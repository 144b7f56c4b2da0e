"""Tuning: equal trials, chosen on validation, by means over seeds."""

from dataclasses import replace

import pytest
from support.judged import found

from training.paper.study import FULL, MAIN, PACED_TRIALS, TAUGHT_MIX, TRIALS, Variant
from training.paper.tune import (
    choose,
    read_choices,
    trial_variants,
    tuned_settings,
    without_choice,
    write_choices,
)

STAGES = ("exposure", "click", "conversion")
LOG = FULL.logs[0]
MIX = next(variant for variant in MAIN if variant.name == "youtubednn-mix")


def chosen(levels, variant=MIX):
    """The choice, where trial n finds `levels[n]` with each seed."""
    tuned = trial_variants([variant], len(levels))

    def found_of(trial):
        seeds = enumerate(levels[int(trial.name.split()[-1])])
        return [found(trial, STAGES, level, seed) for seed, level in seeds]

    return choose(LOG, tuned, found_of)


def test_every_method_and_start_has_as_many_trials():
    tuned = trial_variants(MAIN, FULL.trials)
    for variant, trials in tuned:
        assert len(trials) == len(TRIALS) + variant.from_scratch
    assert len(tuned) == len(MAIN), "the mix is tuned from scratch and from the exposure model"


def test_where_exposures_set_the_pace_from_scratch_their_rate_and_epochs_are_tried():
    mvke = next(each for each in FULL.main(LOG) if each.name == "mvke, from scratch")
    choice = chosen([(0.5,), (0.6,), (0.4,), (0.4,), (0.4,)], mvke)
    assert tuned_settings(choice, mvke) == PACED_TRIALS[1]
    assert tuned_settings(choice, Variant("mvke", "mvke")) == ()  # from the exposure model
    assert all("first." in " ".join(trial) for trial in PACED_TRIALS[1:])


def test_the_best_mean_over_seeds_wins_not_the_luckiest_seed():
    choice = chosen([(0.5, 0.5), (0.7, 0.2), (0.55, 0.55)])
    assert tuned_settings(choice, MIX) == TRIALS[2]


def test_a_trial_is_not_judged_by_lists_that_take_two_searches():
    sep = next(variant for variant in MAIN if variant.name == "full-ft")
    with_lucky_merger = found(sep, STAGES, 0.5)
    for front in with_lucky_merger.fronts.values():
        front.validation_LO[:] = 0.5
    with_lucky_merger.fronts["merged"].validation_LO[:] = 0.9
    trials = iter([[with_lucky_merger], [found(sep, STAGES, 0.8)]])
    choice = choose(LOG, trial_variants([sep], 2), lambda _: next(trials))
    assert tuned_settings(choice, sep) == TRIALS[1]


@pytest.mark.parametrize("method", ["csmf-no-aml", "packnet"])
def test_an_ablation_takes_what_csmf_chose(method):
    csmf = MAIN[0]
    choice = chosen([(0.5,), (0.6,)], csmf)
    assert tuned_settings(choice, replace(csmf, name="ablated", method=method)) == TRIALS[1]
    assert tuned_settings(choice, Variant("another", "mvke")) == ()
    trained_together = Variant("w/o the cascade", "joint", csmf.preset, tuned_as="csmf")
    assert tuned_settings(choice, trained_together) == TRIALS[1]


def test_a_choice_says_on_which_log_it_was_made():
    (choice,) = chosen([(0.5,), (0.6,)]).values()
    assert choice["log"] == " ".join(LOG.command)


def test_choices_are_read_again(tmp_path):
    assert read_choices(tmp_path) == {}
    choices = {"dense": chosen([(0.5,), (0.6,)])}
    write_choices(tmp_path, choices)
    assert read_choices(tmp_path) == choices


def test_a_method_that_has_a_choice_is_not_tuned_again():
    tuned = trial_variants(MAIN, FULL.trials)
    known = {name: {} for name in ("youtubednn-mix|plain|exposure", "csmf|default|exposure")}
    left = [variant.name for variant, _ in without_choice(known, tuned)]
    assert {"youtubednn-mix", "csmf"}.isdisjoint(left)
    assert {"youtubednn-mix, from scratch", "plain cascade"} <= set(left)
    assert without_choice({}, tuned) == tuned


def test_the_taught_union_and_all_from_scratch_have_trials_of_their_own():
    tuned = {
        log.name: {each.name: len(trials) for each, trials in trial_variants(FULL.tuned(log), 5)}
        for log in FULL.logs
    }
    assert tuned["dense"][TAUGHT_MIX.name] == 4
    assert tuned["trivago"][TAUGHT_MIX.name] == 4
    assert tuned["dense"]["youtubednn-sep"] == tuned["dense"]["moppr, from scratch"] == 5
    assert "moppr, from scratch" not in tuned["trivago"]  # where it is not run
