"""One vector for all objectives: YouTubeDNN on the union of their positives.

Decisions
- The last stage's positives count `method.last_weight` times: its positives are few, and how many
  times they count is the one way to trade the objectives. Another trade is another training.
- Exposures are no part of it, where there are any: a log of two stages mixes both.
- From the exposure model, or from scratch; from the exposure model the margin of Eq. 7 is open to
  it, by that model's score.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from bundle.manifest import StageCertificate
from training.batches import BatchPlan, Draw
from training.config import TrainConfig
from training.data import TrainingData, union
from training.methods.method import Served, serve_whole
from training.methods.objectives import judged_stages
from training.methods.pretraining import plain_loss, pretraining
from training.model import TwoTower
from training.objective import Towers, frozen_margin
from training.phase import Phase, StepLoss, Steps


class Mix:
    """One model on a union of positives."""

    def __init__(self, data: TrainingData, config: TrainConfig) -> None:
        self.data, self.config = data, config
        self.exposure = TwoTower(data.schema, config.model, config.seed)
        self.mix = TwoTower(data.schema, config.model, config.seed)
        self.network = nn.ModuleList([self.exposure, self.mix])
        self.certificates: list[StageCertificate] = []

    def phases(self) -> list[Phase]:
        """The exposure model, if it is the start; then the union."""
        mixing = Phase("mix", self.config.middle.learning_rate, self._start)
        if self.config.method.start == "scratch":
            return [mixing]
        first = pretraining(self.exposure, self.data, self.config)
        return [replace(first, finish=self._continue), mixing]

    def served(self) -> dict[str, Served]:
        """One model."""
        return {"": serve_whole(self.mix.user, self.mix.item, "mix", self.data)}

    def _continue(self) -> None:
        self.mix.load_state_dict(self.exposure.state_dict())

    def _start(self) -> Steps:
        config, positives = self.config, self.data.positives
        times = [1] * len(positives)
        times[-1] = config.method.last_weight
        parts = [(positives[stage], times[stage]) for stage in judged_stages(len(positives))]
        draw = Draw(config.seed, 1)
        batches = BatchPlan(self.data, union(parts), config.middle, config.sampling, draw)
        margin, upstream = config.margin, self._upstream()

        def loss(step: int) -> StepLoss:
            batch = batches[step]
            total = plain_loss(self.mix, batch, frozen_margin(upstream, batch), margin)
            return StepLoss(total, total, batch.size)

        return Steps(len(batches), list(self.mix.parameters()), loss)

    def _upstream(self) -> list[Towers]:
        if self.config.method.start == "scratch" or self.config.margin.form == "none":
            return []
        return [(self.exposure.user, self.exposure.item)]
