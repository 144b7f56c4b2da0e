"""Phase 0 of every method that starts from the exposure model: the first stage, all dimensions.

Decisions
- Same data, settings and draws whatever the method, so the result is the same to the bit, and the
  trainer keeps it for all of them.
"""

from __future__ import annotations

from torch import Tensor, nn

from training.batches import Batch, BatchPlan, Draw
from training.config import TrainConfig
from training.data import TrainingData
from training.method_config import MarginConfig
from training.model import TwoTower
from training.objective import NO_MARGIN, Taught, batch_loss
from training.phase import Phase, Pretrains, StepLoss, Steps

TEACHERS_APART = 1000  # seeds: no run of a study is lent the exposure model of another's seed


def pretraining(network: TwoTower, data: TrainingData, config: TrainConfig) -> Phase:
    """Train `network`, which nobody has pruned yet and `config.seed` drew, on the first stage."""

    def start() -> Steps:
        draw = Draw(config.seed, 0)
        batches = BatchPlan(data, data.positives[0], config.first, config.sampling, draw)
        return plain_steps(batches, list(network.parameters()), network)

    return Phase(
        data.stages[0],
        config.first.learning_rate,
        start,
        pretrains=Pretrains(network, config.seed),
        decay=config.first.decay,
    )


def teacher_seed(config: TrainConfig, teacher: int) -> int:
    """Of the exposure model that a teacher goes on from; the first's is the run's own."""
    return config.seed + TEACHERS_APART * teacher


def plain_steps(batches: BatchPlan, parameters: list[nn.Parameter], network: TwoTower) -> Steps:
    """Steps of plain sampled softmax over all dimensions."""

    def loss(step: int) -> StepLoss:
        batch = batches[step]
        total = plain_loss(network, batch)
        return StepLoss(total, total, batch.size)

    return Steps(len(batches), parameters, loss)


def plain_loss(
    network: TwoTower,
    batch: Batch,
    delta_BX: Tensor | None = None,
    margin: MarginConfig = NO_MARGIN,
    taught: Taught | None = None,
) -> Tensor:
    """Eq. 6 for one vector without segments; with teachers, how far its list is from theirs too."""
    users, items = network.user(batch.users), network.item(batch.items)
    return batch_loss(users, items, batch, delta_BX, margin, taught)
