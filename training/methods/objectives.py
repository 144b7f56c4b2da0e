"""Steps that lower the losses of several stages at once, for methods without a cascade.

Decisions
- One batch of each stage per step. The stage that paces goes through its epochs; those with fewer
  positives get smaller batches, so that they go through theirs in as many steps and no further:
  a hundred times the same conversions would be learnt by heart. Others see a part.
- The last stage's loss counts `method.last_weight` times.
- Nobody is served a list of exposures: a method that need not train on them once the exposure model
  is there trains the judged stages only. Of two stages, both are judged.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.batches import Batch, BatchPlan, Draw
from training.config import StageConfig, TrainConfig
from training.data import TrainingData
from training.phase import StepLoss, Steps

StageLoss = Callable[[Batch, int], Tensor]  # of a batch of one stage's positives, and the stage
FIRST_DRAW = 1  # the draws of stage t are numbered FIRST_DRAW + t


def pacing_stage(config: TrainConfig) -> int:
    """Exposures set the pace from scratch; from the exposure model the stage after them does."""
    return 0 if config.method.start == "scratch" else 1


def judged_stages(stages: int) -> range:
    """The stages that lists are for, of a log of so many."""
    return range(1 if stages > 2 else 0, stages)


def trained_stages(config: TrainConfig, stages: int) -> range:
    """From scratch all stages, from the exposure model those judged; the first of them paces."""
    return range(stages) if config.method.start == "scratch" else judged_stages(stages)


def all_objectives(
    data: TrainingData,
    config: TrainConfig,
    parameters: list[nn.Parameter],
    loss: StageLoss,
    trained: range | None = None,
) -> Steps:
    """Steps over all stages of the log, or those `trained`; the sum of their losses each."""
    stages = len(data.stages)
    pace = pacing_stage(config)
    paced = config.stage(pace, stages)
    steps = -(-len(data.positives[pace]) // paced.batch_size) * paced.epochs
    plans = {
        stage: BatchPlan(
            data,
            data.positives[stage],
            _lasting(config.stage(stage, stages), len(data.positives[stage]), steps),
            config.sampling,
            Draw(config.seed, FIRST_DRAW + stage),
        )
        for stage in (range(stages) if trained is None else trained)
    }
    weights = [float(config.method.last_weight) if each == stages - 1 else 1.0 for each in plans]

    def step_loss(step: int) -> StepLoss:
        batches = {stage: plan[step % len(plan)] for stage, plan in plans.items()}
        losses = torch.stack([loss(batch, stage) for stage, batch in batches.items()])
        total = (losses * torch.tensor(weights)).sum()
        return StepLoss(total, total, sum(batch.size for batch in batches.values()))

    return Steps(steps, parameters, step_loss)


def _lasting(settings: StageConfig, positives: int, steps: int) -> StageConfig:
    """Batches no larger than it takes to go through the epochs in so many steps."""
    enough = max(2, -(-positives * settings.epochs // steps))
    return settings.model_copy(update={"batch_size": min(settings.batch_size, enough)})
