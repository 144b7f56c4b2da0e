"""What a stage owns, and what no later stage can reach."""

import copy

import numpy as np
import pytest
import torch

from training.batches import BatchPlan, Draw
from training.model import TowerSplit, TwoTower
from training.objective import stage_losses
from training.ownership import OwnedLinear, OwnedTable, freeze_all_but, owned_parameters
from training.presets import load_config
from training.pruning import prune

SIZES = (6, 5, 5)


def split_to(model, config, owners):
    while model.owners < owners:
        prune(model, config.pruning, stages=3, sizes=SIZES, seed=0)
    return model


def entries_of(model, owners):
    return [
        entry.detach().clone()
        for _, entries in owned_parameters(model)
        for entry in list(entries)[:owners]
    ]


def batch_of(data, config, stage):
    settings = config.stage(stage, 3)
    return BatchPlan(data, data.positives[stage], settings, config.sampling, Draw(1, 0))[0]


def test_every_parameter_belongs_to_exactly_one_owner(model, config):
    owned = sum(len(entries) for _, entries in owned_parameters(split_to(model, config, 3)))
    assert owned == len(list(model.parameters()))
    assert {len(entries) for _, entries in owned_parameters(model)} == {3}


def test_segments_get_the_sizes_asked_for(model, config):
    assert split_to(model, config, 3).segment_sizes == SIZES


def test_a_segment_does_not_change_by_a_bit_whatever_happens_downstream(model, config, data):
    split_to(model, config, 3)
    before = [model.user(data.requests, 3), model.item(data.items, 3)]
    with torch.no_grad():
        for _, entries in owned_parameters(model):
            entries[1].normal_()
            entries[2].fill_(float("nan"))
    after = [model.user(data.requests, 3), model.item(data.items, 3)]
    for segments_before, segments_after in zip(before, after, strict=True):
        assert torch.equal(segments_before[0], segments_after[0])
        assert not torch.equal(segments_before[1], segments_after[1])
        assert segments_after[1].isfinite().all()


def test_the_first_segments_alone_are_bitwise_those_of_a_full_pass(model, config, data):
    split_to(model, config, 3)
    full, part = model.user(data.requests), model.user(data.requests, 2)
    assert len(part) == 2
    assert all(torch.equal(a, b) for a, b in zip(full, part, strict=False))


@pytest.mark.parametrize("stage", [1, 2])
def test_the_gradients_of_a_stage_touch_nothing_upstream(model, config, data, stage):
    split_to(model, config, stage + 1)
    upstream = entries_of(model, stage)
    parameters = freeze_all_but(model, range(stage, stage + 1))
    optimiser = torch.optim.Adam(parameters, lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        batch = batch_of(data, config, stage)
        stage_losses(model, batch, stage, (stage + 1,), config.margin)[0].backward()
        optimiser.step()
    assert all(map(torch.equal, upstream, entries_of(model, stage)))
    for _, entries in owned_parameters(model):
        assert all(entry.grad is None for entry in list(entries)[:stage])
        assert entries[stage].grad is not None


def test_a_layer_reads_only_the_owners_up_to_its_own():
    """Against one dense matrix with the weights from downstream written as zeros."""
    generator = torch.Generator().manual_seed(0)
    layer = OwnedLinear(7, 6, generator)
    dense_UI = layer.weights[0].detach().clone()
    keep_inputs = torch.tensor([True, False, True, True, False, True, False])
    keep_units = torch.tensor([True, True, False, True, False, False])
    layer.split(keep_inputs, keep_units)
    x_BI = torch.randn(5, 7, generator=generator)
    masked_UI = dense_UI.clone()
    masked_UI[keep_units.nonzero(), ~keep_inputs] = 0.0
    expected_BU = x_BI @ masked_UI.T
    kept_BU, freed_BU = layer([x_BI[:, keep_inputs], x_BI[:, ~keep_inputs]])
    torch.testing.assert_close(expected_BU[:, keep_units], kept_BU)
    torch.testing.assert_close(expected_BU[:, ~keep_units], freed_BU)


def test_splitting_a_table_moves_columns_and_changes_no_value():
    table = OwnedTable(9, 5, 1.0, torch.Generator().manual_seed(0))
    ids_B = torch.arange(9)
    before_BU = table(ids_B, 1)[0]
    keep_U = torch.tensor([True, False, True, False, True])
    table.split(keep_U)
    kept_BU, freed_BU = table(ids_B, 2)
    assert torch.equal(before_BU[:, keep_U], kept_BU)
    assert torch.equal(before_BU[:, ~keep_U], freed_BU)


def test_a_split_changes_scores_only_by_the_edges_it_cuts(data, config):
    """With the freed units silent before the split, nothing is left to cut."""
    model = TwoTower(data.schema, config.model, seed=3)
    tower = model.item
    keep_hidden = torch.arange(12) < 7
    with torch.no_grad():
        tower.dense[1].weights[0][:, ~keep_hidden] = 0.0
        for encoder in tower.tables().values():
            encoder.table.blocks[0][:, 4:] = 0.0
    before_NM = tower(data.items)[0]
    keep_output = torch.arange(16) % 2 == 0
    tables = {place: torch.arange(6) < 4 for place in tower.tables()}
    tower.split(TowerSplit(tables, [keep_hidden], keep_output))
    kept_NM, freed_NM = tower(data.items)
    torch.testing.assert_close(before_NM[:, keep_output], kept_NM, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(before_NM[:, ~keep_output], freed_NM, rtol=1e-5, atol=1e-6)


def test_segmentwise_normalisation_gives_every_segment_its_own_learnt_length(data):
    config = load_config(assignments=["model.dim=16", "model.normalise=segment"])
    model = split_to(TwoTower(data.schema, config.model, seed=3), config, 3)
    for user, item in zip(model.user(data.requests), model.item(data.items), strict=True):
        np.testing.assert_allclose(np.exp(2.0), user.detach().norm(dim=1), rtol=1e-5)
        np.testing.assert_allclose(1.0, item.detach().norm(dim=1), rtol=1e-5)


def test_fresh_units_change_no_score_and_no_length(model, config, data):
    """They learn from their first step on: nobody reads them yet, and they read everything."""
    hidden = [layer.weights[-1].shape[0] for layer in model.item.dense[:-1]]
    pruning = config.pruning.model_copy(update={"fresh_units": 5, "fresh_columns": 2})
    plain, grown = copy.deepcopy(model), copy.deepcopy(model)
    prune(plain, config.pruning, stages=3, sizes=SIZES, seed=0)
    prune(grown, pruning, stages=3, sizes=SIZES, seed=0)
    for expected, found in zip(plain.item(data.items), grown.item(data.items), strict=True):
        torch.testing.assert_close(expected, found)
    grown_hidden = [sum(len(bias) for bias in layer.biases) for layer in grown.item.dense[:-1]]
    assert grown_hidden == [units + 5 for units in hidden]
    assert grown.segment_sizes == plain.segment_sizes
    parameters = freeze_all_but(grown, range(1, 2))
    batch = batch_of(data, config, 1)
    stage_losses(grown, batch, 1, (2,), config.margin)[0].backward()
    unread = grown.item.dense[-1].weights[1].grad[:, -5:]
    assert unread.abs().sum() > 0
    assert len(parameters) == len([each for each in parameters if each.grad is not None])
