"""DMMP: experts shared and specific, a user vector per objective, one item tower, a preference.

    s_t(user, item) = u_t·v,  u_t mixed from the shared experts and those of objective t

Decisions
- The user tower is a customised gate control (CGC): each objective's gate mixes the shared experts
  and its own. The item tower knows no objectives, so all lists come out of one index.
- Both vectors learn from the positives and from a teacher of pairs with the same kind of experts
  (`training.methods.teacher`), which is trained first; the paper trains both at once.
- The preference gate says what a user's lists are worth to each other: a softmax over objectives,
  of mean 1, by which the user's vectors are multiplied. A list of one objective does not change;
  lists merged by score, or vectors added up for one search, take each user's own shares. The gate
  learns from the sum's loss on the judged objectives' positives, and nothing else does.
- The paper's adaptive weights of the losses are `method.last_weight`, `hard` and `soft` here, so
  that this method is tuned in the same way as the others.
- From the exposure model: every expert and the item tower start as its towers. From scratch,
  exposures are one more objective, which is not served.

Dimension letters: B users, N items, M vector dims, T objectives, E experts.
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
from training.methods.experts import Fields, Stack, dense, margin_model, refuse_normalise
from training.methods.method import Served, serve_whole
from training.methods.objectives import (
    all_objectives,
    judged_stages,
    pacing_stage,
    trained_stages,
)
from training.methods.pretraining import pretraining
from training.methods.teacher import Teacher, distilled
from training.model import Tower, TwoTower
from training.objective import NO_MARGIN, batch_loss, frozen_margin
from training.ownership import ByOwner, OwnedLinear
from training.phase import Phase, Steps


def expert_sets(objectives: int, each: int) -> list[list[int]]:
    """Per objective the shared experts, which come first, and its own."""
    shared = list(range(each))
    return [shared + [each * (1 + place) + own for own in shared] for place in range(objectives)]


class ExpertUsers(nn.Module):
    """The user tower: a vector per objective, and the user's preference among them."""

    def __init__(self, data: TrainingData, config: TrainConfig, objectives: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(config.seed)
        self.sets = expert_sets(objectives, config.method.experts)
        self.judged = len(judged_stages(len(data.stages)))
        self.fields = Fields(data.schema.user, data.schema, config)
        self.names = self.fields.names
        read = sum(self.fields.widths)
        widths = [read, *config.model.hidden, config.model.dim]
        self.experts = nn.ModuleList(
            Stack(widths, generator) for _ in range(1 + max(self.sets[-1]))
        )
        self.gates = nn.ModuleList(OwnedLinear(read, len(each), generator) for each in self.sets)
        self.preference = OwnedLinear(read, self.judged, generator)

    def forward(self, arrays: Mapping[str, Tensor]) -> tuple[ByOwner, Tensor]:
        """Encoded features → per objective [B, M]; preferences among the judged, [B, T]."""
        joined = torch.cat(self.fields(arrays), dim=1)
        experts_BEM = torch.stack([expert(joined) for expert in self.experts], dim=1)
        vectors = [
            (torch.softmax(dense(gate, joined), dim=1).unsqueeze(2) * experts_BEM[:, chosen]).sum(1)
            for gate, chosen in zip(self.gates, self.sets, strict=True)
        ]
        logits_BT = dense(self.preference, joined.detach())
        return vectors, torch.softmax(logits_BT, dim=1) * self.judged

    def go_on_from(self, tower: Tower) -> None:
        """Make every expert the plain tower."""
        self.fields.go_on_from(tower)
        for expert in self.experts:
            cast("Stack", expert).go_on_from(tower)


class PreferringUser(nn.Module):
    """The served user tower of one objective: its vector, times the user's preference for it."""

    def __init__(self, users: ExpertUsers, place: int) -> None:
        super().__init__()
        self.users, self.names, self.place = users, users.names, place

    def forward(self, arrays: Mapping[str, Tensor]) -> ByOwner:
        """Encoded features → [B, M], alone in its list."""
        vectors, preference_BT = self.users(arrays)
        return [preferred(vectors, preference_BT)[self.place]]


def preferred(vectors: ByOwner, preference_BT: Tensor) -> ByOwner:
    """The judged objectives' vectors, times the preferences; the judged ones come last."""
    judged = vectors[len(vectors) - preference_BT.shape[1] :]
    return [
        vector_BM * share_B1
        for vector_BM, share_B1 in zip(judged, torch.split(preference_BT, 1, dim=1), strict=True)
    ]


class Dmmp:
    """A teacher, a user tower of experts, an item tower."""

    def __init__(self, data: TrainingData, config: TrainConfig) -> None:
        refuse_normalise(config)
        self.data, self.config = data, config
        self.trained = trained_stages(config, len(data.stages))
        self.exposure = TwoTower(data.schema, config.model, config.seed)
        judged = len(judged_stages(len(data.stages)))
        self.teacher = Teacher(data, config, expert_sets(judged, config.method.experts))
        self.user = ExpertUsers(data, config, len(self.trained))
        generator = torch.Generator().manual_seed(config.seed)
        self.item = Tower(data.schema.item, data.schema, config.model, generator)
        self.network = nn.ModuleList([self.exposure, self.teacher, self.user, self.item])
        self.certificates: list[StageCertificate] = []

    def phases(self) -> list[Phase]:
        """The exposure model, if it is the start; the teacher; the towers."""
        settings = self.config.stage(pacing_stage(self.config), len(self.data.stages))
        towers = Phase("towers", settings.learning_rate, self._start, decay=settings.decay)
        if self.config.method.start == "scratch":
            return [self.teacher.phase(), towers]
        first = pretraining(self.exposure, self.data, self.config)
        return [replace(first, finish=self._go_on), self.teacher.phase(), towers]

    def served(self) -> dict[str, Served]:
        """A model per judged stage; their item towers are the same."""
        return {
            self.data.stages[stage]: serve_whole(
                PreferringUser(self.user, place), self.item, self.data.stages[stage], self.data
            )
            for place, stage in enumerate(judged_stages(len(self.data.stages)))
        }

    def _go_on(self) -> None:
        self.teacher.towers.load_state_dict(self.exposure.state_dict())
        self.user.go_on_from(self.exposure.user)
        self.item.load_state_dict(self.exposure.item.state_dict())

    def _start(self) -> Steps:
        parameters = [*self.user.parameters(), *self.item.parameters()]
        return all_objectives(self.data, self.config, parameters, self._loss, self.trained)

    def _loss(self, batch: Batch, stage: int) -> Tensor:
        method = self.config.method
        vectors, preference_BT = self.user(batch.users)
        items = self.item(batch.items)
        vector_BM = vectors[stage - self.trained[0]]
        delta_BX = frozen_margin(margin_model(self.exposure, self.config), batch)
        hard = batch_loss([vector_BM], items, batch, delta_BX, self.config.margin)
        soft = distilled(self.teacher, vector_BM, items[0], batch, stage)
        total = method.hard * hard + method.soft * soft
        if stage < self.teacher.first:
            return total
        parts = preferred([each.detach() for each in vectors], preference_BT)
        summed_BM, item_NM = torch.stack(parts).sum(dim=0), items[0].detach()
        return total + batch_loss([summed_BM], [item_NM], batch, None, NO_MARGIN)
