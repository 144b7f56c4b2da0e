"""The teacher that DMTL and DMMP distil: experts that read a user and an item together.

    s_1 = u·v + f_1(u, v),   s_t = s_{t-1} + log σ(f_t(u, v))

Decisions
- The chain is ESMM's: what comes as far as t came as far as t − 1, and then on. σ(f_2) is the
  conversion rate of clicks; it is never trained on clicks alone, only in the product.
- Experts read [u, v, u∘v] of two towers of the teacher's own. Experts on features joined do not
  learn inner products from such logs; the product of the towers gives them one to begin with.
- Each objective mixes experts by a gate of its own: all experts (MMoE, in DMTL), or the shared ones
  and its own (CGC, in DMMP).
- The papers train and distil point-wise, on what was shown. Candidates for a whole catalogue need
  more: here both are list-wise, over the positive, candidates of the same page view that did not
  come as far, and a sample of the batch's other candidates, corrected by their expected counts.
- The chain is over the judged stages. From the exposure model the towers start as it; from scratch
  exposures train the towers, by their inner product alone: most rows, and no pairs to pay for.

Dimension letters: B positives, N items of the batch, C candidates a row is judged with, S sampled
out of the shared X, H of the row's own, M vector dims, E experts, U units of an expert.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.batches import Batch
from training.config import TrainConfig
from training.data import TrainingData
from training.losses import sampled_softmax
from training.methods.experts import dense
from training.methods.objectives import (
    all_objectives,
    judged_stages,
    pacing_stage,
    trained_stages,
)
from training.methods.pretraining import plain_loss
from training.model import TwoTower
from training.ownership import OwnedLinear
from training.phase import Phase, Steps

SAMPLED = 32  # S: pairs are what a teacher costs
UNITS = 32  # U


@dataclass(frozen=True)
class Panel:
    """The candidates that each row of a batch is judged with; the first is its positive."""

    places_BC: Tensor  # among the batch's items
    log_count_BC: Tensor
    masked_BC: Tensor

    def logits(self, scores_BC: Tensor) -> Tensor:
        """Scores, corrected by expected counts; −inf where masked."""
        return (scores_BC - self.log_count_BC).masked_fill(self.masked_BC, -torch.inf)


def panel_of(batch: Batch) -> Panel:
    """Each row's positive, S of the shared candidates, evenly spread, and H of its own."""
    rows, shared = batch.size, batch.size + batch.mixed
    chosen_S = torch.linspace(0, shared - 1, min(SAMPLED, shared)).long()
    own = batch.masked_BX.shape[1] - shared
    own_BH = shared + torch.arange(rows * own).reshape(rows, own)
    places = [torch.arange(rows).unsqueeze(1), chosen_S.expand(rows, -1), own_BH]
    count_X = batch.log_count_X + torch.tensor(len(chosen_S) / shared).log()
    counts = [count_X[:rows].unsqueeze(1), count_X[chosen_S].expand(rows, -1), batch.log_count_BH]
    positive_B1 = torch.zeros(rows, 1, dtype=torch.bool)
    masked = [positive_B1, batch.masked_BX[:, chosen_S], batch.masked_BX[:, shared:]]
    return Panel(*(torch.cat(parts, dim=1) for parts in (places, counts, masked)))


def panel_scores(users_BM: Tensor, items_NM: Tensor, panel: Panel) -> Tensor:
    """Inner products of a row with its candidates, [B, C]."""
    return torch.einsum("bm,bcm->bc", users_BM, items_NM[panel.places_BC])


def distilled(
    teacher: Teacher, users_BM: Tensor, items_NM: Tensor, batch: Batch, stage: int
) -> Tensor:
    """What a student has yet to learn of the teacher's lists; nothing where nothing is taught."""
    if stage < teacher.first:
        return torch.zeros(())
    panel = panel_of(batch)
    with torch.no_grad():
        taught_BC = teacher(batch, panel, stage)
    return distillation(taught_BC, panel_scores(users_BM, items_NM, panel), panel)


def distillation(taught_BC: Tensor, scores_BC: Tensor, panel: Panel) -> Tensor:
    """KL divergence of a student's list from the teacher's."""
    taught = torch.log_softmax(panel.logits(taught_BC), dim=1)
    learnt = torch.log_softmax(panel.logits(scores_BC), dim=1)
    difference = (taught - learnt).masked_fill(panel.masked_BC, 0.0)  # −inf less −inf
    return (taught.exp() * difference).sum(dim=1).mean()


class Teacher(nn.Module):
    """Scores of pairs; `expert_sets[t]` are the experts that the gate of objective t mixes."""

    def __init__(
        self, data: TrainingData, config: TrainConfig, expert_sets: Sequence[Sequence[int]]
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(config.seed)
        self.data, self.config = data, config
        self.towers = TwoTower(data.schema, config.model, config.seed)
        self.expert_sets = [list(each) for each in expert_sets]
        self.experts = 1 + max(expert for each in expert_sets for expert in each)
        self.widths = [self.experts * UNITS, *map(len, expert_sets)]  # experts; a gate each
        self.readers = nn.ModuleList(
            OwnedLinear(config.model.dim, sum(self.widths), generator) for _ in range(3)
        )
        self.heads = nn.ModuleList(OwnedLinear(UNITS, 1, generator) for _ in expert_sets)
        self.trained = trained_stages(config, len(data.stages))
        self.first = judged_stages(len(data.stages))[0]

    def forward(self, batch: Batch, panel: Panel, stage: int) -> Tensor:
        """s of a stage for each row's candidates, [B, C]."""
        (users_BM,) = self.towers.user(batch.users)
        (items_NM,) = self.towers.item(batch.items)
        product_BCM = users_BM.unsqueeze(1) * items_NM[panel.places_BC]
        user, item, both = self.readers  # one layer over [u, v, u∘v]; u and v are read once each
        read = dense(user, users_BM).unsqueeze(1) + dense(item, items_NM)[panel.places_BC]
        units, *gates = torch.split(read + dense(both, product_BCM), self.widths, dim=2)
        experts_BCEU = functional.relu(units).reshape(*units.shape[:2], self.experts, UNITS)
        score_BC: Tensor = product_BCM.sum(dim=2)
        for objective, gate_BCE in enumerate(gates[: stage - self.first + 1]):
            deep_BC = self._mixed(objective, gate_BCE, experts_BCEU)
            score_BC = score_BC + (functional.logsigmoid(deep_BC) if objective else deep_BC)
        return score_BC

    def _mixed(self, objective: int, gate_BCE: Tensor, experts_BCEU: Tensor) -> Tensor:
        """f of an objective, [B, C]."""
        shares_BCE1 = torch.softmax(gate_BCE, dim=2).unsqueeze(3)
        mixed_BCU = (shares_BCE1 * experts_BCEU[:, :, self.expert_sets[objective]]).sum(dim=2)
        return dense(self.heads[objective], mixed_BCU).squeeze(2)

    def phase(self) -> Phase:
        """Train on all objectives."""
        settings = self.config.stage(pacing_stage(self.config), len(self.data.stages))
        return Phase("teacher", settings.learning_rate, self._start, decay=settings.decay)

    def _start(self) -> Steps:
        parameters = list(self.parameters())
        return all_objectives(self.data, self.config, parameters, self._loss, self.trained)

    def _loss(self, batch: Batch, stage: int) -> Tensor:
        if stage < self.first:
            return plain_loss(self.towers, batch)
        panel = panel_of(batch)
        logits_BC = panel.logits(self(batch, panel, stage))
        return sampled_softmax(logits_BC, torch.zeros(len(logits_BC), dtype=torch.int64))
