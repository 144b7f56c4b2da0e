"""One model per objective: YouTubeDNN apart, full fine-tuning, LoRA and BitFit.

    start=scratch     every stage trains a model of its own (youtubednn-sep)
    start=exposure    every later stage goes on from the exposure model, or with `chain` from the
                      stage before; `tune` says what of it may change (full-ft, lora, bitfit)

Decisions
- They change shared coordinates, so each objective needs vectors, an index and a search of its own.
- The margin of Eq. 7 is open to them too: upstream scores are those of the models before.
- What a model starts from is copied at the end of an earlier phase, where a checkpoint follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from bundle.manifest import StageCertificate
from training.batches import BatchPlan, Draw
from training.config import StageConfig, TrainConfig
from training.data import TrainingData
from training.errors import ConfigError
from training.methods.adapters import LowRankTower
from training.methods.method import Served, serve_whole
from training.methods.pretraining import pretraining
from training.model import TwoTower
from training.objective import Towers, batch_loss, frozen_margin
from training.phase import Phase, StepLoss, Steps


class Separate:
    """A model per stage of one log."""

    def __init__(self, data: TrainingData, config: TrainConfig) -> None:
        if config.method.start == "scratch" and config.method.tune != "all":
            raise ConfigError(
                f"method.tune: {config.method.tune!r} changes a part of a trained model, so it "
                "needs method.start=exposure; from scratch set method.tune=all"
            )
        self.data, self.config, self.stages = data, config, data.stages
        self.models = [TwoTower(data.schema, config.model, config.seed) for _ in data.stages]
        self.adapters = [_adapters(model, config) for model in self.models]
        self.network = nn.ModuleList([*self.models, *self.adapters])
        self.certificates: list[StageCertificate] = []

    def phases(self) -> list[Phase]:
        """One per stage, upstream first."""
        first = pretraining(self.models[0], self.data, self.config)
        later = range(1, len(self.stages))
        return [
            replace(first, finish=partial(self._finish, 0)),
            *(
                Phase(
                    name=self.stages[position],
                    learning_rate=self._settings(position).learning_rate,
                    start=partial(self._start, position),
                    finish=partial(self._finish, position),
                    decay=self._settings(position).decay,
                )
                for position in later
            ),
        ]

    def served(self) -> dict[str, Served]:
        """One model per stage, called after it."""
        return {
            stage: serve_whole(model.user, model.item, stage, self.data)
            for stage, model in zip(self.stages, self.models, strict=True)
        }

    def _settings(self, position: int) -> StageConfig:
        return self.config.stage(position, len(self.stages))

    def _start(self, position: int) -> Steps:
        config, model = self.config, self.models[position]
        batches = BatchPlan(
            self.data,
            self.data.positives[position],
            self._settings(position),
            config.sampling,
            Draw(config.seed, position),
        )
        learner: Towers = (model.user, model.item)
        if config.method.tune == "lora":
            user, item = self.adapters[position]
            learner = (user, item)
        return Steps(
            count=len(batches),
            parameters=self._only_trainable(position),
            loss=partial(self._loss, batches, learner, self._upstream(position)),
        )

    def _loss(
        self, batches: BatchPlan, learner: Towers, upstream: Sequence[Towers], step: int
    ) -> StepLoss:
        batch = batches[step]
        users, items = learner[0](batch.users), learner[1](batch.items)
        delta_BX = frozen_margin(upstream, batch)
        loss = batch_loss(users, items, batch, delta_BX, self.config.margin)
        return StepLoss(loss, loss, batch.size)

    def _only_trainable(self, position: int) -> list[nn.Parameter]:
        """What learns; the rest of the model asks for no gradients, which would cost time."""
        trainable = self._trainable(position)
        learning = set(map(id, trainable))
        for each in (*self.models[position].parameters(), *self.adapters[position].parameters()):
            each.requires_grad_(id(each) in learning)
        return trainable

    def _trainable(self, position: int) -> list[nn.Parameter]:
        tune, model = self.config.method.tune, self.models[position]
        if tune == "lora":
            return list(self.adapters[position].parameters())
        named = model.named_parameters()
        return [each for name, each in named if tune == "all" or ".biases." in name]

    def _upstream(self, position: int) -> list[Towers]:
        """Whose scores make the margin; from scratch nobody's."""
        method, margin = self.config.method, self.config.margin
        if method.start == "scratch" or margin.form == "none":
            return []
        return [(each.user, each.item) for each in self.models[:position]]

    def _finish(self, position: int) -> None:
        """Merge adapters; hand the model on to those that start from it."""
        for adapter in self.adapters[position]:
            adapter.merge()  # type: ignore[operator]  # a ModuleList's entries are Modules to mypy
        method = self.config.method
        if method.start == "exposure" and (position == 0 or method.chain):
            for later in self.models[position + 1 :]:
                later.load_state_dict(self.models[position].state_dict())


def _adapters(model: TwoTower, config: TrainConfig) -> nn.ModuleList:
    """Adapters of both towers, or none."""
    if config.method.tune != "lora":
        return nn.ModuleList()
    generator = torch.Generator().manual_seed(config.seed)
    return nn.ModuleList(
        LowRankTower(tower, config.method.rank, generator) for tower in (model.user, model.item)
    )
