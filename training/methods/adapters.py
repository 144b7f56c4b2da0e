"""LoRA: a frozen tower plus a low-rank product for every weight matrix and table.

Decisions
- W + A·B with B = 0 at the start, so training begins at the frozen tower itself. Scaled by 1, since
  the learning rate is tuned anyway.
- Biases stay frozen; tables are matrices like any other.
- Merged when training ends, so a served model is a plain tower.

Dimension letters: U units, I inputs, R rank.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from training.model import Tower
from training.ownership import ByOwner


class LowRankTower(nn.Module):
    """Adapters of one tower, which is no part of this module's own parameters."""

    def __init__(self, tower: Tower, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self._tower = (tower,)  # in a tuple: not registered, so neither trained nor saved here
        matrices = {name: each for name, each in tower.named_parameters() if each.ndim == 2}
        self.names = list(matrices)
        self.downs = nn.ParameterList(
            torch.randn(rank, each.shape[1], generator=generator) * each.shape[1] ** -0.5
            for each in matrices.values()
        )
        self.ups = nn.ParameterList(torch.zeros(each.shape[0], rank) for each in matrices.values())

    def forward(self, arrays: Mapping[str, Tensor]) -> ByOwner:
        """What the tower gives with its adapted weights."""
        (tower,) = self._tower
        segments: ByOwner = functional_call(tower, self._adapted(), (arrays,))
        return segments

    def merge(self) -> None:
        """Add the products to the tower's own weights, and start from zero again."""
        (tower,) = self._tower
        own = dict(tower.named_parameters())
        with torch.no_grad():
            for name, adapted in self._adapted().items():
                own[name].copy_(adapted)
            for up_UR in self.ups:
                up_UR.zero_()

    def _adapted(self) -> dict[str, Tensor]:
        (tower,) = self._tower
        own = dict(tower.named_parameters())
        return {
            name: own[name] + up_UR @ down_RI
            for name, up_UR, down_RI in zip(self.names, self.ups, self.downs, strict=True)
        }
