"""The losses, each held against a loop over plain floats."""

import math

import numpy as np
import pytest
import torch

from bundle.scoring import segment_scales
from training.batches import BatchPlan, Draw
from training.losses import (
    adaptive_margin,
    distillation,
    log_expected_count,
    sampled_softmax,
    taught_shares,
    with_margin,
)
from training.method_config import MarginConfig
from training.model import TwoTower
from training.objective import MASKED, add_scores, stage_losses, taught_by
from training.pruning import prune

RNG = np.random.default_rng(11)


def naive_margin(delta, eta, sigma):
    return delta + sigma if delta >= 0 else -delta * eta + sigma


def test_sampled_softmax_keeps_the_positive_in_the_denominator():
    logits, columns = RNG.normal(size=(4, 7)), [2, 0, 6, 3]
    expected = np.mean(
        [
            -math.log(math.exp(row[column]) / sum(math.exp(logit) for logit in row))
            for row, column in zip(logits, columns, strict=True)
        ]
    )
    found = sampled_softmax(torch.tensor(logits), torch.tensor(columns))
    assert float(found) == pytest.approx(expected)


def test_a_masked_negative_counts_for_nothing():
    logits_BX, positive_B = torch.tensor([[1.0, 0.5, -torch.inf]]), torch.tensor([0])
    expected = sampled_softmax(logits_BX[:, :2], positive_B)
    assert float(sampled_softmax(logits_BX, positive_B)) == pytest.approx(float(expected))


def test_the_margin_is_that_of_equation_7():
    delta = RNG.normal(size=(3, 5))
    expected = [[naive_margin(value, 1.8, 0.1) for value in row] for row in delta]
    found = adaptive_margin(torch.tensor(delta), MarginConfig(eta=1.8, sigma=0.1))
    np.testing.assert_allclose(expected, found)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("none", [5.0, 5.0]),
        ("literal", [5.0 - 2.0, 5.0 - 1.5 * 1.8]),
        ("additive", [5.0 + 2.0, 5.0 + 1.5 * 1.8]),
        ("signed", [5.0 - 2.0, 5.0 + 1.5 * 1.8]),
    ],
)
def test_each_form_of_the_margin_moves_aligned_and_conflicting_pairs_its_own_way(form, expected):
    negatives_BX, delta_BX = torch.full((1, 2), 5.0), torch.tensor([[2.0, -1.5]])
    found = with_margin(negatives_BX, delta_BX, MarginConfig(form=form, eta=1.8))
    assert found[0].tolist() == pytest.approx(expected)


def test_expected_counts_add_the_batch_and_the_mixed_draws():
    share_X, first_X = torch.tensor([0.1, 0.2]), torch.tensor([0.4, 0.05])
    found = log_expected_count(share_X, 32, first_X, 100)
    assert found.tolist() == pytest.approx([math.log(43.2), math.log(11.4)])


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_the_loss_of_a_stage_is_the_papers_sum_over_a_real_batch(model, config, data, stage):
    """Every positive against every candidate, written out."""
    sizes, margin = (6, 5, 5), config.margin.model_copy(update={"form": "literal"})
    config = config.model_copy(update={"margin": margin})
    while model.owners <= stage:
        prune(model, config.pruning, stages=3, sizes=sizes, seed=0)
    settings = config.stage(stage, 3)
    batch = BatchPlan(data, data.positives[stage], settings, config.sampling, Draw(1, 0))[0]
    found = stage_losses(model, batch, stage, (stage + 1,), config.margin)[0]

    users = [segment.detach().double().numpy() for segment in model.user(batch.users)]
    items = [segment.detach().double().numpy() for segment in model.item(batch.items)]

    def score(row, item, last):  # s_t = Σ_{u <= t} e_u·v_u
        return sum(float(users[owner][row] @ items[owner][item]) for owner in range(last + 1))

    def upstream(row, item):  # Σ_{t < stage} s_t
        return sum(score(row, item, t) for t in range(stage))

    shared, terms = batch.size + batch.mixed, []
    own = batch.log_count_BH.shape[1]
    for row in range(batch.size):
        positive = score(row, row, stage) - float(batch.log_count_X[row])
        denominator = math.exp(positive)
        candidates = [(item, float(batch.log_count_X[item])) for item in range(shared)]
        candidates += [
            (shared + row * own + place, float(batch.log_count_BH[row, place]))
            for place in range(own)
        ]
        for column, (item, log_count) in enumerate(candidates):
            if batch.masked_BX[row, column]:
                continue
            margin = 0.0
            if stage > 0:
                margin = naive_margin(upstream(row, row) - upstream(row, item), 1.8, 0.0)
            denominator += math.exp(score(row, item, stage) - log_count - margin)
        terms.append(-math.log(math.exp(positive) / denominator))
    assert float(found.detach()) == pytest.approx(np.mean(terms), rel=1e-5)


def test_scaled_segments_give_the_weighted_sum_of_the_stages_scores(model, config, data):
    """Eq. 8 on the trained side: what the service multiplies is what the stages add up to."""
    while model.owners < 3:
        prune(model, config.pruning, stages=3, sizes=(6, 5, 5), seed=0)
    users, items = model.user(data.requests), model.item(data.items)
    products = [user @ item.T for user, item in zip(users, items, strict=True)]
    weights_S = np.array([1.0, 1.8, 1.2])
    stage_scores = torch.cumsum(torch.stack(products), dim=0)
    expected = sum(k * scores for k, scores in zip(weights_S, stage_scores, strict=True))
    scales_S = segment_scales(weights_S)
    found = sum(scale * product for scale, product in zip(scales_S, products, strict=True))
    torch.testing.assert_close(expected, found, rtol=1e-5, atol=1e-5)


def test_a_student_that_lists_as_its_teacher_has_nothing_to_learn():
    logits_BX = torch.randn(4, 6)
    logits_BX[0, 3] = MASKED
    teacher = taught_shares(logits_BX + 2.0)
    assert float(distillation(logits_BX, *teacher)) == pytest.approx(0.0, abs=1e-6)
    other_BX = logits_BX.clone()
    other_BX[:, 0] += 1.0
    assert float(distillation(other_BX, *teacher)) > 0


def test_distillation_is_the_divergence_of_the_students_softmax_from_the_teachers():
    student, teacher = [[0.0, 1.0, 2.0]], [[1.0, 0.0, MASKED]]
    p = [math.e / (math.e + 1), 1 / (math.e + 1)]
    total = 1 + math.e + math.e**2
    expected = p[0] * math.log(p[0] / (1 / total)) + p[1] * math.log(p[1] / (math.e / total))
    found = distillation(torch.tensor(student), *taught_shares(torch.tensor(teacher)))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_what_is_masked_for_the_student_learns_nothing():
    student_BX = torch.tensor([[0.5, MASKED, 1.0]], requires_grad=True)
    teacher = taught_shares(torch.tensor([[1.0, MASKED, 0.0]]))
    distillation(student_BX, *teacher).backward()
    assert student_BX.grad[0, 1] == 0
    assert student_BX.grad[0, 0] < 0 < student_BX.grad[0, 2]


@pytest.mark.parametrize("form", ["literal", "none"])
def test_a_taught_stage_adds_the_distance_of_its_score_without_the_margin(
    model, config, data, form
):
    prune(model, config.pruning, stages=3, sizes=(6, 5, 5), seed=0)
    batch = BatchPlan(data, data.positives[1], config.middle, config.sampling, Draw(1, 0))[0]
    teacher = TwoTower(data.schema, config.model, seed=9)
    margin = config.margin.model_copy(update={"form": form})
    taught = taught_by([teacher], batch, weight=3.0)
    (plain,) = stage_losses(model, batch, 1, (2,), margin)
    (found,) = stage_losses(model, batch, 1, (2,), margin, taught)
    logits = [
        add_scores(torch.zeros(batch.masked_BX.shape), users, items, batch)
        - torch.cat([batch.log_count_X.expand(batch.size, -1), batch.log_count_BH], dim=1)
        for users, items in (
            (model.user(batch.users), model.item(batch.items)),
            (teacher.user(batch.users), teacher.item(batch.items)),
        )
    ]
    masked_BX = batch.masked_BX.clone()
    masked_BX[:, : batch.size].fill_diagonal_(False)
    student_BX, teacher_BX = (each.masked_fill(masked_BX, MASKED) for each in logits)
    apart = distillation(student_BX, *taught_shares(teacher_BX))
    torch.testing.assert_close(found, plain + 3.0 * apart)
    lists_alone = taught_by([teacher], batch, weight=3.0, own=0.0)
    (found,) = stage_losses(model, batch, 1, (2,), margin, lists_alone)
    torch.testing.assert_close(found, 3.0 * apart)
