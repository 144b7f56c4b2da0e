"""DMMP: a user vector per objective, one item vector, the preference between their lists."""

import pytest
import torch

from training.methods.dmmp import Dmmp, expert_sets


@pytest.fixture
def dmmp(data, config) -> Dmmp:
    method = config.method.model_copy(update={"kind": "dmmp"})
    return Dmmp(data, config.model_copy(update={"method": method}))


def test_each_objective_reads_the_shared_experts_and_its_own():
    assert expert_sets(3, each=2) == [[0, 1, 2, 3], [0, 1, 4, 5], [0, 1, 6, 7]]


def test_all_lists_come_out_of_one_index(dmmp, data):
    click, conversion = (served.item(data.items)[0] for served in dmmp.served().values())
    assert torch.equal(click, conversion)


def test_an_objective_does_not_read_the_experts_of_another(dmmp, data):
    (click, conversion), _ = dmmp.user(data.requests)
    own = dmmp.user.sets[1][-1]
    for parameter in dmmp.user.experts[own].parameters():
        torch.nn.init.constant_(parameter, 0.5)
    (click_after, conversion_after), _ = dmmp.user(data.requests)
    assert torch.equal(click, click_after)
    assert not torch.allclose(conversion, conversion_after)


def test_a_users_preference_scales_its_lists_and_has_a_mean_of_one(dmmp, data):
    vectors, preference_BT = dmmp.user(data.requests)
    torch.testing.assert_close(preference_BT.mean(dim=1), torch.ones(len(preference_BT)))
    for place, served in enumerate(dmmp.served().values()):
        (found_BM,) = served.user(data.requests)
        torch.testing.assert_close(found_BM, vectors[place] * preference_BT[:, place : place + 1])


def test_both_lists_start_as_the_exposure_models(dmmp, data):
    dmmp.phases()[0].finish()
    (expected_BM,) = dmmp.exposure.user(data.requests)
    vectors, _ = dmmp.user(data.requests)
    for vector_BM in vectors:
        torch.testing.assert_close(vector_BM, expected_BM)
    assert torch.equal(dmmp.item(data.items)[0], dmmp.exposure.item(data.items)[0])


def test_a_preference_learns_from_the_sum_and_moves_no_vector(dmmp):
    alone = dmmp.config.method.model_copy(update={"hard": 0.0, "soft": 0.0})
    dmmp.config = dmmp.config.model_copy(update={"method": alone})
    dmmp.phases()[-1].start().loss(0).total.backward()
    moved = {
        name
        for name, each in dmmp.user.named_parameters()
        if each.grad is not None and each.grad.any()
    }
    assert moved == {"preference.weights.0", "preference.biases.0"}
    assert not any(each.grad is not None and each.grad.any() for each in dmmp.item.parameters())
