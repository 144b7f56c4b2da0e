"""One vector for all objectives: YouTubeDNN on the union of their positives.

Decisions
- The last stage's positives count `method.last_weight` times: its positives are few, and how many
  times they count is the one way to trade the objectives. Another trade is another training.
- Exposures are no part of it, where there are any: a log of two stages mixes both.
- From the exposure model, or from scratch; from the exposure model the margin of Eq. 7 is open to
  it, by that model's score.
- With `middle.taught` it learns the lists of such models as CSMF learns those of its teachers:
  `teachers` of them, each from a start of its own, fine-tuned on the same union before.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from bundle.manifest import StageCertificate
from training.batches import BatchPlan, Draw
from training.config import StageConfig, TrainConfig
from training.data import TrainingData, union
from training.methods.method import Served, serve_whole
from training.methods.objectives import judged_stages
from training.methods.pretraining import plain_loss, plain_steps, pretraining, teacher_seed
from training.model import TwoTower
from training.objective import Towers, frozen_margin, taught_by
from training.phase import Phase, StepLoss, Steps


class Mix:
    """One model on a union of positives."""

    def __init__(self, data: TrainingData, config: TrainConfig) -> None:
        self.data, self.config = data, config
        self.exposure = TwoTower(data.schema, config.model, config.seed)
        self.mix = TwoTower(data.schema, config.model, config.seed)
        self.network = nn.ModuleList([self.exposure, self.mix])
        self.teachers: list[TwoTower] = []
        if self._settings.taught > 0:
            self.teachers = [
                TwoTower(data.schema, config.model, teacher_seed(config, each))
                for each in range(config.teachers)
            ]
            self.network.extend(self.teachers)
        self.certificates: list[StageCertificate] = []

    def phases(self) -> list[Phase]:
        """The exposure models, if they are the start; teachers, if there are any; the union."""
        starts = [] if self.config.method.start == "scratch" else self._pretrainings()
        teaching = [self._teaching(each) for each in range(len(self.teachers))]
        settings = self._settings
        mixing = Phase("mix", settings.learning_rate, self._start, decay=settings.decay)
        return [*starts, *teaching, mixing]

    def served(self) -> dict[str, Served]:
        """One model."""
        return {"": serve_whole(self.mix.user, self.mix.item, "mix", self.data)}

    def _pretrainings(self) -> list[Phase]:
        """Of the model, and of each teacher but the first, which goes on from the same."""
        first = pretraining(self.exposure, self.data, self.config)
        return [
            replace(first, finish=self._continue),
            *(
                replace(
                    pretraining(teacher, self.data, self._seeded(each)),
                    name=f"{first.name} teacher {each + 1}",
                )
                for each, teacher in enumerate(self.teachers)
                if each > 0
            ),
        ]

    def _continue(self) -> None:
        for network in (self.mix, *self.teachers[:1]):
            network.load_state_dict(self.exposure.state_dict())

    def _teaching(self, each: int) -> Phase:
        """Fine-tuning of a teacher on the union: a short phase that ends softly."""

        def start() -> Steps:
            settings = self._settings
            settings = settings.model_copy(update={"epochs": settings.teacher_epochs})
            batches = self._batches(settings, Draw(self._seeded(each).seed, 2))
            teacher = self.teachers[each]
            return plain_steps(batches, list(teacher.parameters()), teacher)

        rate = self._settings.learning_rate
        return Phase(f"mix teacher {each + 1}", rate, start, decay="linear")

    def _start(self) -> Steps:
        settings, margin, upstream = self._settings, self.config.margin, self._upstream()
        batches = self._batches(settings, Draw(self.config.seed, 1))

        def loss(step: int) -> StepLoss:
            batch, taught = batches[step], None
            if self.teachers:
                taught = taught_by(self.teachers, batch, settings.taught, settings.own)
            delta_BX = frozen_margin(upstream, batch)
            total = plain_loss(self.mix, batch, delta_BX, margin, taught)
            return StepLoss(total, total, batch.size)

        return Steps(len(batches), list(self.mix.parameters()), loss)

    @property
    def _settings(self) -> StageConfig:
        """Of the stage after the first: where a log has two, the last one's."""
        return self.config.stage(1, len(self.data.stages))

    def _batches(self, settings: StageConfig, draw: Draw) -> BatchPlan:
        positives = self.data.positives
        times = [1] * len(positives)
        times[-1] = self.config.method.last_weight
        parts = [(positives[stage], times[stage]) for stage in judged_stages(len(positives))]
        return BatchPlan(self.data, union(parts), settings, self.config.sampling, draw)

    def _seeded(self, each: int) -> TrainConfig:
        return self.config.model_copy(update={"seed": teacher_seed(self.config, each)})

    def _upstream(self) -> list[Towers]:
        if self.config.method.start == "scratch" or self.config.margin.form == "none":
            return []
        return [(self.exposure.user, self.exposure.item)]
