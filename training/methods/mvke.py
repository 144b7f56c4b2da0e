"""MVKE: K virtual kernels in the user tower, mixed by the item.

    score_t(user, item) = Σ_k g_tk(item) · u_k·v,  k over the kernels of objective t

Decisions
- A kernel is a learnt vector with an expert of its own. It attends to the user's fields, which the
  expert reads weighted and joined; at equal attention that is a plain tower's input.
- Each objective has a gate: a softmax over its kernels, by attention of the item's vector to them.
  The first kernel is not the last objective's, the last kernel is its alone; all others are shared.
- Both sides are served with K vectors each, [u_1 … u_K] and [g_1 v … g_K v]: one inner product of
  K·M dimensions is exact. g is the sum over the later stages' gates, so the list is ranked by the
  sum of their scores, as logarithms of probabilities add. How much each counts is trained in
  (`method.last_weight`), not a weight of the query.
- From the exposure model: every expert and the item tower start as its towers. Gates sum to one, so
  all begins at its scores. From scratch, exposures are one more objective, with a gate of its own
  that is not served.

Dimension letters: B users, N items, M vector dims, K kernels, F fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from bundle.manifest import StageCertificate
from training.batches import Batch
from training.config import TrainConfig
from training.data import TrainingData
from training.errors import ConfigError
from training.methods.experts import Fields, Stack, dense, margin_model, refuse_normalise
from training.methods.method import Served, serve_whole
from training.methods.objectives import (
    all_objectives,
    judged_stages,
    pacing_stage,
    trained_stages,
)
from training.methods.pretraining import pretraining
from training.model import Tower, TwoTower
from training.objective import batch_loss, frozen_margin
from training.ownership import ByOwner, OwnedLinear
from training.phase import Phase, Steps


class KernelExperts(nn.Module):
    """The user tower: a vector per virtual kernel."""

    def __init__(self, data: TrainingData, config: TrainConfig, generator: torch.Generator) -> None:
        super().__init__()
        kernels, dim = config.method.kernels, config.model.dim
        self.fields = Fields(data.schema.user, data.schema, config)
        self.names = self.fields.names
        self.kernels_KM = nn.Parameter(torch.randn(kernels, dim, generator=generator))
        self.keys = nn.ModuleList(
            OwnedLinear(width, dim, generator) for width in self.fields.widths
        )
        widths = [sum(self.fields.widths), *config.model.hidden, dim]
        self.experts = nn.ModuleList(Stack(widths, generator) for _ in range(kernels))

    def forward(self, arrays: Mapping[str, Tensor]) -> ByOwner:
        """Encoded features → per kernel [B, M]."""
        fields = self.fields(arrays)
        attention_BKF = self._attention(fields)
        attention_KF = [torch.split(each_BF, 1, dim=1) for each_BF in attention_BKF.unbind(1)]
        return [
            expert(torch.cat(list(map(torch.mul, attention, fields)), dim=1))
            for expert, attention in zip(self.experts, attention_KF, strict=True)
        ]

    def _attention(self, fields: list[Tensor]) -> Tensor:
        """[B, K, F], of mean 1 over the fields."""
        keys_BFM = torch.stack(
            [dense(layer, columns) for layer, columns in zip(self.keys, fields, strict=True)], dim=1
        )
        scale = self.kernels_KM.shape[1] ** -0.5
        logits_BKF = (keys_BFM @ self.kernels_KM.T).transpose(1, 2) * scale
        return torch.softmax(logits_BKF, dim=2) * len(fields)

    def go_on_from(self, tower: Tower) -> None:
        """Make every expert the plain tower, with equal attention to all fields."""
        self.fields.go_on_from(tower)
        for key in self.keys:
            nn.init.zeros_(cast("OwnedLinear", key).weights[0])
        for expert in self.experts:
            cast("Stack", expert).go_on_from(tower)


class KernelGate(nn.Module):
    """How much of each kernel an item takes, for one objective."""

    def __init__(self, kernels: range, of: int, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.query = OwnedLinear(dim, dim, generator)
        closed_K = torch.full((of,), -torch.inf)
        closed_K[kernels.start : kernels.stop] = 0.0
        self.register_buffer("closed_K", closed_K, persistent=False)

    def forward(self, items_NM: Tensor, kernels_KM: Tensor) -> Tensor:
        """[N, K], rows of sum 1 over the objective's own kernels."""
        scale = kernels_KM.shape[1] ** -0.5
        logits_NK = dense(self.query, items_NM) @ kernels_KM.T * scale
        return torch.softmax(logits_NK + self.closed_K, dim=1)


class GatedItems(nn.Module):
    """The served item tower: the item's vector once per kernel, times its gates."""

    def __init__(self, item: Tower, gates: nn.ModuleList, kernels_KM: nn.Parameter) -> None:
        super().__init__()
        self.item, self.gates, self.kernels_KM = item, gates, kernels_KM
        self.names = item.names

    def forward(self, arrays: Mapping[str, Tensor]) -> ByOwner:
        """Encoded features → per kernel [N, M]."""
        (items_NM,) = self.item(arrays)
        gates = [gate(items_NM, self.kernels_KM) for gate in self.gates]
        return gated(items_NM, torch.stack(gates).sum(dim=0))


def gated(items_NM: Tensor, gate_NK: Tensor) -> ByOwner:
    """Per kernel g_k·v."""
    return [gate_K1 * items_NM for gate_K1 in torch.split(gate_NK, 1, dim=1)]


def kernels_of(stage: int, stages: int, kernels: int) -> range:
    """The kernels of a stage: all but the last, or for the last stage all but the first."""
    return range(1, kernels) if stage == stages - 1 else range(kernels - 1)


class Mvke:
    """One model, a gate per objective."""

    def __init__(self, data: TrainingData, config: TrainConfig) -> None:
        refuse_normalise(config)
        kernels, stages = config.method.kernels, len(data.stages)
        if kernels < 2:
            raise ConfigError(f"method.kernels: expected at least 2, got {kernels}")
        self.data, self.config = data, config
        generator = torch.Generator().manual_seed(config.seed)
        self.exposure = TwoTower(data.schema, config.model, config.seed)
        self.user = KernelExperts(data, config, generator)
        self.item = Tower(data.schema.item, data.schema, config.model, generator)
        self.gates = nn.ModuleList(
            KernelGate(kernels_of(stage, stages, kernels), kernels, config.model.dim, generator)
            for stage in range(stages)
        )
        self.network = nn.ModuleList([self.exposure, self.user, self.item, self.gates])
        self.certificates: list[StageCertificate] = []

    def phases(self) -> list[Phase]:
        """The exposure model, if it is the start; then all objectives."""
        settings = self.config.stage(pacing_stage(self.config), len(self.data.stages))
        together = Phase(
            "all objectives", settings.learning_rate, self._start, decay=settings.decay
        )
        if self.config.method.start == "scratch":
            return [together]
        first = pretraining(self.exposure, self.data, self.config)
        return [replace(first, finish=self._go_on), together]

    def served(self) -> dict[str, Served]:
        """One model of K vectors a side."""
        gates = nn.ModuleList(self.gates[stage] for stage in judged_stages(len(self.gates)))
        item = GatedItems(self.item, gates, self.user.kernels_KM)
        return {"": serve_whole(self.user, item, "mvke", self.data)}

    def _go_on(self) -> None:
        self.user.go_on_from(self.exposure.user)
        self.item.load_state_dict(self.exposure.item.state_dict())

    def _start(self) -> Steps:
        learning = (self.user, self.item, self.gates)
        parameters = [each for module in learning for each in module.parameters()]
        trained = trained_stages(self.config, len(self.data.stages))
        return all_objectives(self.data, self.config, parameters, self._loss, trained)

    def _loss(self, batch: Batch, stage: int) -> Tensor:
        (items_NM,) = self.item(batch.items)
        gate_NK = self.gates[stage](items_NM, self.user.kernels_KM)
        users, items = self.user(batch.users), gated(items_NM, gate_NK)
        delta_BX = frozen_margin(margin_model(self.exposure, self.config), batch)
        return batch_loss(users, items, batch, delta_BX, self.config.margin)
