"""MOPPR: one vector, a list-wise loss over the page view for every objective at once.

Decisions
- Per objective, each positive is held against candidates of its own request that did not come as
  far (`request_negatives`), items of other requests in the batch, and negatives drawn from
  exposures; other positives of the request are left out. The losses are summed with weights.
"""

from __future__ import annotations

from torch import Tensor

from bundle.manifest import StageCertificate
from training.batches import Batch
from training.config import TrainConfig
from training.data import TrainingData
from training.methods.method import Served, serve_whole
from training.methods.objectives import all_objectives, pacing_stage
from training.methods.pretraining import plain_loss, pretraining
from training.model import TwoTower
from training.phase import Phase, Steps


class Moppr:
    """One model, all objectives in every step."""

    def __init__(self, data: TrainingData, config: TrainConfig) -> None:
        self.data, self.config = data, config
        self.network = TwoTower(data.schema, config.model, config.seed)
        self.certificates: list[StageCertificate] = []

    def phases(self) -> list[Phase]:
        """The exposure model, if it is the start; then all objectives."""
        settings = self.config.stage(pacing_stage(self.config), len(self.data.stages))
        together = Phase(
            "all objectives", settings.learning_rate, self._start, decay=settings.decay
        )
        if self.config.method.start == "scratch":
            return [together]
        return [pretraining(self.network, self.data, self.config), together]

    def served(self) -> dict[str, Served]:
        """One model."""
        return {"": serve_whole(self.network.user, self.network.item, "moppr", self.data)}

    def _start(self) -> Steps:
        return all_objectives(self.data, self.config, list(self.network.parameters()), self._loss)

    def _loss(self, batch: Batch, _stage: int) -> Tensor:
        return plain_loss(self.network, batch)
