"""DMTL: what a teacher of pairs judges, and what its student learns."""

import pytest
import torch

from training.batches import Batch, BatchPlan, Draw
from training.config import StageConfig
from training.methods.dmtl import Dmtl
from training.methods.teacher import SAMPLED, distillation, panel_of, panel_scores
from training.objective import add_scores

STAGE = StageConfig(batch_size=48, mixed_negatives=64, request_negatives=2)


@pytest.fixture
def dmtl(data, config) -> Dmtl:
    method = config.method.model_copy(update={"kind": "dmtl"})
    return Dmtl(data, config.model_copy(update={"method": method}))


@pytest.fixture
def batch(data, config) -> Batch:
    return BatchPlan(data, data.positives[1], STAGE, config.sampling, Draw(0, 1))[0]


def test_a_panel_holds_the_positive_a_sample_and_the_rows_own_candidates(batch):
    panel = panel_of(batch)
    assert panel.places_BC.shape == (batch.size, 1 + SAMPLED + STAGE.request_negatives)
    assert torch.equal(panel.places_BC[:, 0], torch.arange(batch.size))
    assert not panel.masked_BC[:, 0].any()


def test_a_panel_gives_a_candidate_the_score_and_the_mask_that_the_batch_does(dmtl, batch):
    """The shared candidates by their place, a row's own by their order."""
    panel, towers = panel_of(batch), dmtl.teacher.towers
    users, items = towers.user(batch.users), towers.item(batch.items)
    found_BC = panel_scores(users[0], items[0], panel)
    scores_BX = add_scores(torch.zeros(batch.masked_BX.shape), users, items, batch)
    shared = panel.places_BC[:, 1 : 1 + SAMPLED]
    torch.testing.assert_close(found_BC[:, 0], scores_BX.diagonal())
    torch.testing.assert_close(found_BC[:, 1 : 1 + SAMPLED], scores_BX.gather(1, shared))
    torch.testing.assert_close(found_BC[:, 1 + SAMPLED :], scores_BX[:, batch.size + batch.mixed :])
    assert torch.equal(panel.masked_BC[:, 1 : 1 + SAMPLED], batch.masked_BX.gather(1, shared))


def test_a_teachers_later_objective_is_a_share_of_the_one_before(dmtl, batch):
    panel = panel_of(batch)
    click_BC, conversion_BC = (dmtl.teacher(batch, panel, stage) for stage in (1, 2))
    assert (conversion_BC < click_BC).all()


def test_a_list_like_the_teachers_has_nothing_to_learn(batch):
    panel = panel_of(batch)
    taught_BC = torch.randn(panel.places_BC.shape, generator=torch.Generator().manual_seed(0))
    same = distillation(taught_BC, taught_BC + 3.0, panel)
    other = distillation(taught_BC, taught_BC.flip(dims=[1]), panel)
    torch.testing.assert_close(same, torch.tensor(0.0), atol=1e-6, rtol=0.0)
    assert other > 0.01


def test_the_teacher_learns_nothing_from_its_student(dmtl):
    dmtl.phases()[-1].start().loss(0).total.backward()
    assert all(each.grad is None for each in dmtl.teacher.parameters())
    assert any(each.grad is not None for each in dmtl.student.parameters())


def test_a_student_of_the_teacher_alone_comes_closer_to_its_lists(dmtl):
    alone = dmtl.config.method.model_copy(update={"hard": 0.0})
    dmtl.config = dmtl.config.model_copy(update={"method": alone})
    steps = dmtl.phases()[-1].start()
    torch.nn.init.normal_(
        dmtl.teacher.heads[0].weights[0], generator=torch.Generator().manual_seed(0)
    )
    optimiser = torch.optim.Adam(steps.parameters, lr=0.01)
    before = steps.loss(0).total.item()
    for _ in range(20):
        optimiser.zero_grad()
        steps.loss(0).total.backward()
        optimiser.step()
    assert steps.loss(0).total.item() < 0.5 * before
