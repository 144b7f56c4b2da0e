"""What the rivals with experts are built from: a side's fields, stacks of layers, the margin.

Decisions
- The same encoders, hidden sizes and initial spread as a plain tower (`training.model`), so a stack
  can go on from the exposure model's layers, and its fields from the exposure model's tables.
- One owner: these methods partition nothing.
- The margin of Eq. 7 is open to them as it is to all that start from the exposure model: not in
  their papers, but it keeps what the exposure model knew (`margin.form=none` turns it off).

Dimension letters: B batch, F fields, U columns of a field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from bundle.features import Feature
from bundle.schema import FeatureSchema
from training.config import TrainConfig
from training.encoders import build_encoder
from training.errors import ConfigError
from training.model import Tower, TwoTower
from training.objective import Towers
from training.ownership import OwnedLinear


class Fields(nn.Module):
    """The features of one side, encoded and not yet joined."""

    def __init__(
        self, features: Sequence[Feature], schema: FeatureSchema, config: TrainConfig
    ) -> None:
        super().__init__()
        built = [
            build_encoder(each, schema, config.model.columns, config.seed) for each in features
        ]
        self.names = [feature.name for feature in features]
        self.encoders = nn.ModuleList(encoder for encoder, _ in built)
        self.widths = [columns for _, columns in built]

    def forward(self, arrays: Mapping[str, Tensor]) -> list[Tensor]:
        """Encoded features → per field [B, U_f]."""
        return [
            encoder(arrays[name], 1)[0]
            for name, encoder in zip(self.names, self.encoders, strict=True)
        ]

    def go_on_from(self, tower: Tower) -> None:
        """Take a plain tower's tables."""
        self.encoders.load_state_dict(tower.encoders.state_dict())


class Stack(nn.Module):
    """Layers of the given widths, the first of which is the input's; the last one is linear."""

    def __init__(self, widths: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            OwnedLinear(inputs, units, generator) for inputs, units in pairwise(widths)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., inputs] → [..., units]."""
        *hidden_layers, last = self.layers
        for layer in hidden_layers:
            hidden = functional.relu(dense(layer, hidden))
        return dense(last, hidden)

    def go_on_from(self, tower: Tower) -> None:
        """Take a plain tower's layers."""
        self.layers.load_state_dict(tower.layers.state_dict())


def dense(layer: nn.Module, inputs: Tensor) -> Tensor:
    """What a layer of one owner makes of inputs of any rank."""
    return functional.linear(inputs, layer.weights[0], layer.biases[0])  # type: ignore[index]


def margin_model(exposure: TwoTower, config: TrainConfig) -> list[Towers]:
    """Whose scores make the margin of Eq. 7: the exposure model's, or from scratch nobody's."""
    if config.method.start == "scratch" or config.margin.form == "none":
        return []
    return [(exposure.user, exposure.item)]


def refuse_normalise(config: TrainConfig) -> None:
    """Raise ConfigError if vectors are to have unit length: experts add up to any length."""
    if config.model.normalise != "none":
        raise ConfigError(
            f"model.normalise: {config.method.kind} is made of raw inner products; expected none, "
            f"got {config.model.normalise}"
        )
