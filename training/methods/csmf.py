"""CSMF: one network, one segment per stage, trained in a cascade (the method of this project).

Decisions
- What happens in which order is `training.cascade`'s; here each of its phases gets its batches, its
  loss and its end: pruning passes units on, certifying proves that nothing upstream changed.
- Where a stage is taught (`taught`), one whole model goes on from the exposure model, fine-tuned
  for each stage in turn, and the stage learns its lists beside the positives: a segment of a third
  of the dimensions then does nearly what a model of all of them does. Not in the paper.
- A replayed batch is drawn as its own stage draws.
- `pruning.form=ratio` makes it the paper's ablation without CPP (PackNet's fixed ratio).
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from bundle.manifest import StageCertificate
from bundle.segments import Segments
from training.batches import BatchPlan, Draw
from training.cascade import CascadePhase, cascade
from training.certificate import certify
from training.config import TrainConfig
from training.data import TrainingData
from training.errors import ConfigError
from training.methods.method import Served
from training.methods.pretraining import plain_steps, teacher_seed
from training.model import TwoTower
from training.objective import stage_losses, taught_by
from training.ownership import freeze_all_but
from training.phase import Phase, Pretrains, StepLoss, Steps
from training.pruning import prune

REPLAY_DRAW = 1000  # phases are numbered from 0; replay draws from a range of its own


class Csmf:
    """The cascade of one run."""

    def __init__(self, data: TrainingData, config: TrainConfig) -> None:
        config.check_widths(len(data.stages))
        if config.method.start == "scratch":
            raise ConfigError(
                "method.start: a cascade starts with its first stage; scratch is for rivals"
            )
        self.data, self.config = data, config
        self.sizes = config.segment_sizes(len(data.stages))
        self.model = TwoTower(data.schema, config.model, config.seed)
        self.plan = cascade(config, data.stages)
        self.teachers: list[TwoTower] = []
        self.network: nn.Module = self.model
        if any(part.kind == "teach" for part in self.plan):
            self.teachers = [
                TwoTower(data.schema, config.model, teacher_seed(config, each))
                for each in range(config.teachers)
            ]
            self.network = nn.ModuleList([self.model, *self.teachers])
        self.certificates: list[StageCertificate] = []

    def phases(self) -> list[Phase]:
        """Those of the cascade."""
        return [
            Phase(
                name=part.name,
                learning_rate=part.settings.learning_rate,
                start=partial(self._start, index, part),
                finish=partial(self._finish, part),
                pretrains=self._pretrains(part),
                decay=part.settings.decay,
            )
            for index, part in enumerate(self.plan)
        ]

    def served(self) -> dict[str, Served]:
        """One model with a segment per stage."""
        segments = Segments(self.data.stages, self.model.segment_sizes)
        return {"": Served(self.model.user, self.model.item, segments, self.certificates)}

    def _pretrains(self, part: CascadePhase) -> Pretrains | None:
        """The exposure model that a phase trains: the cascade's own, or that of a teacher."""
        if part.stage > 0 or part.kind == "recover":
            return None
        network = self.teachers[part.teacher] if part.kind == "teach" else self.model
        return Pretrains(network, teacher_seed(self.config, part.teacher))

    def _start(self, index: int, part: CascadePhase) -> Steps:
        config, positives = self.config, self.data.positives
        pretrains = self._pretrains(part)
        draw = Draw(pretrains.seed, 0) if pretrains else Draw(config.seed, index)
        batches = BatchPlan(
            self.data, positives[part.stage], part.settings, config.sampling, draw, part.share
        )
        if part.kind == "teach":
            teacher = self.teachers[part.teacher]
            return plain_steps(batches, list(teacher.parameters()), teacher)
        replayed = None
        if part.stage > 0 and part.settings.replay > 0:
            replayed = self._replayed(index, part)
        return Steps(
            count=len(batches),
            parameters=freeze_all_but(self.model, part.trainable),
            loss=partial(self._loss, part, batches, replayed),
        )

    def _replayed(self, index: int, part: CascadePhase) -> BatchPlan:
        """Batches of the stage before, as long as the part's own and drawn as that stage draws."""
        config, upstream = self.config, part.stage - 1
        drawn = config.stage(upstream, len(self.data.stages))
        settings = drawn.model_copy(update={"batch_size": part.settings.batch_size})
        draw = Draw(config.seed, REPLAY_DRAW + index)
        return BatchPlan(self.data, self.data.positives[upstream], settings, config.sampling, draw)

    def _loss(
        self, part: CascadePhase, batches: BatchPlan, replayed: BatchPlan | None, step: int
    ) -> StepLoss:
        margin, batch, widths = self.config.margin, batches[step], part.widths
        settings, taught = part.settings, None
        if settings.taught > 0:
            taught = taught_by(self.teachers, batch, settings.taught, settings.own)
        losses = stage_losses(self.model, batch, part.stage, widths, margin, taught)
        total = torch.stack(losses).sum()
        if replayed is not None:
            again = replayed[step % len(replayed)]
            upstream = stage_losses(self.model, again, part.stage - 1, widths, margin)
            total = total + part.settings.replay * upstream[0]
            if settings.replay_taught > 0:
                said = taught_by(self.teachers, again, settings.replay_taught, own=0.0)
                total = total + stage_losses(self.model, again, part.stage, widths, margin, said)[0]
        return StepLoss(total, losses[0], batch.size)

    def _finish(self, part: CascadePhase) -> None:
        if part.stage == 0 and part.kind == "train" and self.teachers:
            self.teachers[0].load_state_dict(self.model.state_dict())  # before anything is pruned
        if part.prunes:
            prune(
                self.model,
                self.config.pruning,
                stages=len(self.data.stages),
                sizes=self.sizes,
                seed=self.config.seed,
            )
        if part.certifies:
            self.certificates.append(certify(self.model, self.data, part.stage, self.certificates))
