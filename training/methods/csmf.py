"""CSMF: one network, one segment per stage, trained in a cascade (the method of this project).

Decisions
- What happens in which order is `training.cascade`'s; here each of its phases gets its batches, its
  loss and its end: pruning passes units on, certifying proves that nothing upstream changed.
- `pruning.form=ratio` makes it the paper's ablation without CPP (PackNet's fixed ratio).
"""

from __future__ import annotations

from functools import partial

import torch

from bundle.manifest import StageCertificate
from bundle.segments import Segments
from training.batches import BatchPlan, Draw
from training.cascade import CascadePhase, cascade
from training.certificate import certify
from training.config import TrainConfig
from training.data import TrainingData
from training.methods.method import Served
from training.model import TwoTower
from training.objective import stage_losses
from training.ownership import freeze_all_but
from training.phase import Phase, StepLoss, Steps
from training.pruning import prune

REPLAY_DRAW = 1000  # phases are numbered from 0; replay draws from a range of its own


class Csmf:
    """The cascade of one run."""

    def __init__(self, data: TrainingData, config: TrainConfig) -> None:
        config.check_widths(len(data.stages))
        self.data, self.config = data, config
        self.sizes = config.segment_sizes(len(data.stages))
        self.network = TwoTower(data.schema, config.model, config.seed)
        self.certificates: list[StageCertificate] = []

    def phases(self) -> list[Phase]:
        """Those of the cascade."""
        return [
            Phase(
                name=part.name,
                learning_rate=part.settings.learning_rate,
                start=partial(self._start, index, part),
                finish=partial(self._finish, part),
                pretrains=self.network if index == 0 else None,
            )
            for index, part in enumerate(cascade(self.config, self.data.stages))
        ]

    def served(self) -> dict[str, Served]:
        """One model with a segment per stage."""
        segments = Segments(self.data.stages, self.network.segment_sizes)
        return {"": Served(self.network.user, self.network.item, segments, self.certificates)}

    def _start(self, index: int, part: CascadePhase) -> Steps:
        config, positives = self.config, self.data.positives
        batches = BatchPlan(
            self.data,
            positives[part.stage],
            part.settings,
            config.sampling,
            Draw(config.seed, index),
            part.share,
        )
        replayed = None
        if part.stage > 0 and part.settings.replay > 0:
            draw = Draw(config.seed, REPLAY_DRAW + index)
            upstream = positives[part.stage - 1]
            replayed = BatchPlan(self.data, upstream, part.settings, config.sampling, draw)
        return Steps(
            count=len(batches),
            parameters=freeze_all_but(self.network, part.trainable),
            loss=partial(self._loss, part, batches, replayed),
        )

    def _loss(
        self, part: CascadePhase, batches: BatchPlan, replayed: BatchPlan | None, step: int
    ) -> StepLoss:
        margin, batch = self.config.margin, batches[step]
        losses = stage_losses(self.network, batch, part.stage, part.widths, margin)
        total = torch.stack(losses).sum()
        if replayed is not None:
            again = replayed[step % len(replayed)]
            widths = part.widths
            upstream = stage_losses(self.network, again, part.stage - 1, widths, margin)
            total = total + part.settings.replay * upstream[0]
        return StepLoss(total, losses[0], batch.size)

    def _finish(self, part: CascadePhase) -> None:
        if part.prunes:
            prune(
                self.network,
                self.config.pruning,
                stages=len(self.data.stages),
                sizes=self.sizes,
                seed=self.config.seed,
            )
        if part.certifies:
            self.certificates.append(
                certify(self.network, self.data, part.stage, self.certificates)
            )
