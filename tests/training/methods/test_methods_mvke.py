"""MVKE: kernels that objectives share, gates that items open, one inner product that is exact."""

import pytest
import torch
from torch import nn

from training.errors import ConfigError
from training.methods.mvke import GatedItems, Mvke, kernels_of
from training.presets import load_config

KERNELS = 4


@pytest.fixture
def mvke(data, config) -> Mvke:
    method = config.method.model_copy(update={"kind": "mvke", "kernels": KERNELS})
    return Mvke(data, config.model_copy(update={"method": method}))


def test_objectives_share_all_kernels_but_one_of_their_own():
    click, conversion = set(kernels_of(1, 3, KERNELS)), set(kernels_of(2, 3, KERNELS))
    assert click - conversion == {0}
    assert conversion - click == {KERNELS - 1}
    assert len(click & conversion) == KERNELS - 2


@pytest.mark.parametrize("stage", [1, 2])
def test_an_items_gate_opens_its_objectives_kernels_only(mvke, data, stage):
    (items_NM,) = mvke.item(data.items)
    gate_NK = mvke.gates[stage](items_NM, mvke.user.kernels_KM)
    torch.testing.assert_close(gate_NK.sum(dim=1), torch.ones(len(items_NM)))
    opened = (gate_NK > 0).all(dim=0)
    assert opened.nonzero().flatten().tolist() == list(kernels_of(stage, 3, KERNELS))


def test_one_inner_product_of_the_served_vectors_is_the_sum_of_both_objectives_scores(mvke, data):
    served = mvke.served()[""]
    users = mvke.user(data.requests)
    (items_NM,) = mvke.item(data.items)
    expected = torch.zeros(len(users[0]), len(items_NM))
    for stage in (1, 2):
        gate_NK = mvke.gates[stage](items_NM, mvke.user.kernels_KM)
        for kernel, user_BM in enumerate(users):
            expected += gate_NK[:, kernel] * (user_BM @ items_NM.T)
    found = torch.cat(served.user(data.requests), 1) @ torch.cat(served.item(data.items), 1).T
    torch.testing.assert_close(found, expected)
    assert served.segments.dim == KERNELS * items_NM.shape[1]


def test_every_objective_starts_with_the_exposure_models_scores(mvke, data):
    mvke.phases()[0].finish()
    users, items = mvke.exposure.user(data.requests)[0], mvke.exposure.item(data.items)[0]
    for stage in (1, 2):
        tower = GatedItems(mvke.item, nn.ModuleList([mvke.gates[stage]]), mvke.user.kernels_KM)
        found = torch.cat(mvke.user(data.requests), 1) @ torch.cat(tower(data.items), 1).T
        torch.testing.assert_close(found, users @ items.T)


def test_kernels_attend_to_users_in_ways_of_their_own(mvke, data):
    first, second, *_ = mvke.user(data.requests)
    assert not torch.allclose(first, second)


def test_a_single_kernel_is_refused(data):
    with pytest.raises(ConfigError, match=r"method\.kernels: expected at least 2"):
        Mvke(data, load_config(assignments=["method.kernels=1"], method="mvke"))


def test_vectors_of_unit_length_are_refused(data):
    with pytest.raises(ConfigError, match=r"model\.normalise: mvke"):
        Mvke(data, load_config(assignments=["model.normalise=segment"], method="mvke"))
