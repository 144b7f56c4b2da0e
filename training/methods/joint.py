"""The partition without the cascade: the same segments, masks and scores, trained all at once.

Decisions
- It tells what of CSMF is the partition and what the cascade. Nothing is frozen: a later stage's
  loss changes the segments upstream, which are part of its score.
- From the exposure model the network is pruned as CSMF prunes it, with nothing trained in between.
- Its certificates are made when all is trained: no segment changed after its own.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from bundle.manifest import StageCertificate
from bundle.segments import Segments
from training.batches import Batch
from training.certificate import certify
from training.config import TrainConfig
from training.data import TrainingData
from training.methods.method import Served
from training.methods.objectives import all_objectives, pacing_stage
from training.methods.pretraining import pretraining
from training.model import TwoTower
from training.objective import stage_losses
from training.ownership import freeze_all_but
from training.phase import Phase, Steps
from training.pruning import prune


class Joint:
    """One network with a segment per stage, one phase for all of them."""

    def __init__(self, data: TrainingData, config: TrainConfig) -> None:
        config.check_widths(len(data.stages))
        self.data, self.config = data, config
        self.network = TwoTower(data.schema, config.model, config.seed)
        self.certificates: list[StageCertificate] = []
        if config.method.start == "scratch":
            self._partition()

    def phases(self) -> list[Phase]:
        """The exposure model, if it is the start; then all objectives."""
        settings = self.config.stage(pacing_stage(self.config), len(self.data.stages))
        together = Phase(
            "all objectives",
            settings.learning_rate,
            self._start,
            self._certify,
            decay=settings.decay,
        )
        if self.config.method.start == "scratch":
            return [together]
        first = pretraining(self.network, self.data, self.config)
        return [replace(first, finish=self._partition), together]

    def served(self) -> dict[str, Served]:
        """One model with a segment per stage."""
        segments = Segments(self.data.stages, self.network.segment_sizes)
        return {"": Served(self.network.user, self.network.item, segments, self.certificates)}

    def _partition(self) -> None:
        stages, config = len(self.data.stages), self.config
        sizes = config.segment_sizes(stages)
        for _ in range(stages - 1):
            prune(self.network, config.pruning, stages=stages, sizes=sizes, seed=config.seed)

    def _start(self) -> Steps:
        parameters = freeze_all_but(self.network, range(len(self.data.stages)))
        return all_objectives(self.data, self.config, parameters, self._loss)

    def _loss(self, batch: Batch, stage: int) -> Tensor:
        return stage_losses(self.network, batch, stage, (stage + 1,), self.config.margin)[0]

    def _certify(self) -> None:
        for stage in range(len(self.data.stages)):
            self.certificates.append(certify(self.network, self.data, stage, self.certificates))
