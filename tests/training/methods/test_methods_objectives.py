"""Several objectives in every step: which stages, and how often each of their positives is seen."""

import pytest
import torch

from training.methods.objectives import all_objectives, judged_stages, trained_stages


def seen(data, config, trained):
    """Positives of each stage that all steps together show."""
    counts = dict.fromkeys(range(3), 0)

    def loss(batch, stage):
        counts[stage] += batch.size
        return torch.zeros(())

    steps = all_objectives(data, config, [], loss, trained)
    for step in range(steps.count):
        steps.loss(step)
    return counts


def test_lists_are_judged_for_all_stages_but_exposures():
    assert list(judged_stages(3)) == [1, 2]
    assert list(judged_stages(5)) == [1, 2, 3, 4]
    assert list(judged_stages(2)) == [0, 1], "clicks and conversions: nobody logged exposures"


def test_exposures_are_trained_on_again_only_from_scratch(config):
    scratch = config.method.model_copy(update={"start": "scratch"})
    assert list(trained_stages(config, 3)) == [1, 2]
    assert list(trained_stages(config.model_copy(update={"method": scratch}), 3)) == [0, 1, 2]


@pytest.mark.parametrize("trained", [range(3), range(1, 3)])
def test_the_last_stage_goes_through_its_epochs_and_hardly_further(data, config, trained):
    counts = seen(data, config, trained)
    conversions = len(data.positives[2])
    assert config.last.epochs * conversions <= counts[2] <= 1.5 * config.last.epochs * conversions


def test_the_stage_that_paces_goes_through_its_epochs_exactly(data, config):
    counts = seen(data, config, range(1, 3))
    assert counts[1] == config.middle.epochs * len(data.positives[1])
    assert counts[0] == 0
