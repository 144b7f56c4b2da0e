"""DMTL: a teacher of pairs, multi-task, and one two-tower student of its lists.

Decisions
- The teacher is ESMM over MMoE (`training.methods.teacher`). It is trained first and then teaches
  as it is: what the paper trains at once, with gradients stopped between the two, apart.
- Clicks' batches teach the distribution of clicks, conversions' batches that of conversions over
  the whole space (CTCVR), `method.last_weight` times: with the latter alone, one vector would rank
  for conversions only.
- The student learns its list-wise distillation beside the positives themselves, with all of the
  batch's candidates: a teacher of pairs is too dear for them all.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from bundle.manifest import StageCertificate
from training.batches import Batch
from training.config import TrainConfig
from training.data import TrainingData
from training.methods.experts import margin_model, refuse_normalise
from training.methods.method import Served, serve_whole
from training.methods.objectives import all_objectives, judged_stages, pacing_stage
from training.methods.pretraining import pretraining
from training.methods.teacher import Teacher, distilled
from training.model import TwoTower
from training.objective import batch_loss, frozen_margin
from training.phase import Phase, Steps


class Dmtl:
    """A teacher, and the student that is served."""

    def __init__(self, data: TrainingData, config: TrainConfig) -> None:
        refuse_normalise(config)
        self.data, self.config = data, config
        self.exposure = TwoTower(data.schema, config.model, config.seed)
        self.student = TwoTower(data.schema, config.model, config.seed)
        judged = len(judged_stages(len(data.stages)))
        everybody = range(config.method.experts * (1 + judged))
        self.teacher = Teacher(data, config, [everybody] * judged)
        self.network = nn.ModuleList([self.exposure, self.teacher, self.student])
        self.certificates: list[StageCertificate] = []

    def phases(self) -> list[Phase]:
        """The exposure model, if it is the start; the teacher; the student."""
        settings = self.config.stage(pacing_stage(self.config), len(self.data.stages))
        student = Phase("student", settings.learning_rate, self._start, decay=settings.decay)
        if self.config.method.start == "scratch":
            return [self.teacher.phase(), student]
        first = pretraining(self.exposure, self.data, self.config)
        return [replace(first, finish=self._go_on), self.teacher.phase(), student]

    def served(self) -> dict[str, Served]:
        """The student."""
        return {"": serve_whole(self.student.user, self.student.item, "dmtl", self.data)}

    def _go_on(self) -> None:
        for network in (self.teacher.towers, self.student):
            network.load_state_dict(self.exposure.state_dict())

    def _start(self) -> Steps:
        parameters, trained = list(self.student.parameters()), self.teacher.trained
        return all_objectives(self.data, self.config, parameters, self._loss, trained)

    def _loss(self, batch: Batch, stage: int) -> Tensor:
        users, items = self.student.user(batch.users), self.student.item(batch.items)
        delta_BX = frozen_margin(margin_model(self.exposure, self.config), batch)
        hard = batch_loss(users, items, batch, delta_BX, self.config.margin)
        soft = distilled(self.teacher, users[0], items[0], batch, stage)
        return self.config.method.hard * hard + self.config.method.soft * soft
