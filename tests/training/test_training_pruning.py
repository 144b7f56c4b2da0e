"""Cumulative percentile-based pruning, held against a loop that follows the paper's words."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.method_config import PruningConfig
from training.pruning import keep_by_percentile, keep_largest, prune

INFORMATION = st.lists(st.floats(0, 100, width=32), min_size=5, max_size=40)


def naive_cpp(information, tau, spare):
    """Sort ascending, prune while the pruned sum stays within τ of the total."""
    order = sorted(range(len(information)), key=lambda unit: (information[unit], unit))
    total, pruned_sum, pruned = 0.0, 0.0, []
    for unit in order:
        total += information[unit]
    for unit in order:
        pruned_sum += information[unit]
        if pruned_sum > tau * total:
            break
        pruned.append(unit)
    count = min(max(len(pruned), spare), len(information) - 1)
    return [unit not in order[:count] for unit in range(len(information))]


@settings(deadline=None, max_examples=50)
@given(INFORMATION, st.floats(0.05, 0.95), st.integers(1, 4))
def test_percentile_pruning_follows_the_papers_loop(information, tau, spare):
    values = [float(np.float32(value)) for value in information]
    expected = naive_cpp(values, tau, spare)
    assert keep_by_percentile(torch.tensor(values), tau, spare).tolist() == expected


def test_what_is_pruned_holds_at_most_tau_of_the_information():
    information_U = torch.tensor([4.0, 1.0, 3.0, 2.0])
    keep_U = keep_by_percentile(information_U, tau=0.5, spare=1)
    assert keep_U.tolist() == [True, False, True, False]


def test_tau_as_retained_share_prunes_the_rest(model):
    prune(model, PruningConfig(tau=0.9, tau_mode="retained"), stages=3, sizes=(6, 5, 5), seed=0)
    assert len(model.user.dense[0].biases[0]) > len(model.user.dense[0].biases[1])


@pytest.mark.parametrize("tau", [0.001, 0.999])
def test_each_stage_to_come_is_left_at_least_one_unit_of_each_layer(model, tau):
    config = PruningConfig(tau=tau, tau_tables=tau)
    for _ in range(4):
        prune(model, config, stages=5, sizes=None, seed=0)
    assert model.owners == 5
    for tower in (model.user, model.item):
        for layer in tower.dense:
            assert min(len(bias) for bias in layer.biases) >= 1
        for encoder in tower.tables().values():
            assert min(block.shape[1] for block in encoder.table.blocks) >= 1


def test_output_coordinates_survive_by_what_both_towers_put_into_them(model):
    with torch.no_grad():
        model.user.dense[-1].weights[0][3] *= 100.0
        model.item.dense[-1].weights[0][3] = 0.0  # one side alone says nothing
        model.user.dense[-1].weights[0][[5, 9]] *= 10.0
        model.item.dense[-1].weights[0][[5, 9]] *= 10.0
    marks = [tower.dense[-1].weights[0].detach()[[5, 9]] for tower in (model.user, model.item)]
    prune(model, PruningConfig(), stages=3, sizes=(2, 7, 7), seed=0)
    for tower, rows in zip((model.user, model.item), marks, strict=True):
        kept_UI = tower.dense[-1].weights[0]
        found = torch.isin(kept_UI, rows).all()
        assert found, "the towers kept different coordinates"


def test_fixed_sizes_keep_the_most_informative():
    keep_U = keep_largest(torch.tensor([5.0, 1.0, 9.0, 5.0]), 2)
    assert keep_U.tolist() == [False, False, True, True]


def test_a_warm_start_keeps_values_and_reinitialising_does_not(model):
    before = model.item.dense[0].biases[0].detach().clone()
    table = next(iter(model.user.tables().values())).table
    values = table.blocks[0].detach().clone()
    prune(model, PruningConfig(reinitialise=True), stages=2, sizes=(8, 8), seed=0)
    assert not torch.isin(table.blocks[1], values).any()
    assert torch.isin(table.blocks[0], values).all()
    assert len(before) == sum(len(bias) for bias in model.item.dense[0].biases)
