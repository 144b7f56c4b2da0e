"""Steps that lower the losses of several stages at once, for methods without a cascade.

Decisions
- One batch of each stage per step; the stage that paces goes through its epochs, the batches of the
  others go round as often as that takes.
- The last stage's loss counts `method.last_weight` times.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.batches import Batch, BatchPlan, Draw
from training.config import TrainConfig
from training.data import TrainingData
from training.phase import StepLoss, Steps

StageLoss = Callable[[Batch, int], Tensor]  # of a batch of one stage's positives, and the stage
FIRST_DRAW = 1  # the draws of stage t are numbered FIRST_DRAW + t


def pacing_stage(config: TrainConfig) -> int:
    """Exposures set the pace from scratch; from the exposure model the stage after them does."""
    return 0 if config.method.start == "scratch" else 1


def all_objectives(
    data: TrainingData, config: TrainConfig, parameters: list[nn.Parameter], loss: StageLoss
) -> Steps:
    """Steps over all stages of the log, the sum of their losses each."""
    stages = len(data.stages)
    plans = [
        BatchPlan(
            data,
            data.positives[stage],
            config.stage(stage, stages),
            config.sampling,
            Draw(config.seed, FIRST_DRAW + stage),
        )
        for stage in range(stages)
    ]
    weights = [1.0] * (stages - 1) + [float(config.method.last_weight)]

    def step_loss(step: int) -> StepLoss:
        batches = [plan[step % len(plan)] for plan in plans]
        losses = torch.stack([loss(batch, stage) for stage, batch in enumerate(batches)])
        total = (losses * torch.tensor(weights)).sum()
        return StepLoss(total, total, sum(batch.size for batch in batches))

    return Steps(len(plans[pacing_stage(config)]), parameters, step_loss)
