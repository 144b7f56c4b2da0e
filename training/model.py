"""The two towers: encoders, owned hidden layers, one output segment per owner.

Decisions
- A tower returns its vector as a list of segments, one per owner; nobody slices by offset. Joined,
  they are `[e_d ; e_o ; e_r]` in the paper.
- Scores are raw dot products. Nothing mixes segments, so the fusion of Eq. 8 is exact. The option
  `normalise` divides each SEGMENT by its own length and gives it one learnable scale, on the user
  side: that keeps Eq. 8 too. A norm over the whole vector would not.
- `forward(…, owners=n)` computes the first n segments only; they are bitwise those of a full pass.

Dimension letters: B batch, M vector dims, T owners so far.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bundle.features import Feature
from bundle.schema import FeatureSchema
from training.config import ModelConfig
from training.encoders import CategoryEncoder, InputEncoder, build_encoder
from training.ownership import ByOwner, OwnedLinear, replace_entries


class ServedTower(Protocol):
    """One side of a served model."""

    names: list[str]  # of the features it reads, in order

    def __call__(self, arrays: Mapping[str, Tensor]) -> ByOwner:
        """Encoded features → segments, per owner [B, M_t]; one for a plain tower."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """As every module has them."""
        ...


@dataclass(frozen=True)
class TowerSplit:
    """Which units of the last owner stay with it, per table (by encoder), hidden layer, output.

    The new owner gets the others, and fresh ones: so many units in each hidden layer, so many
    columns in each table.
    """

    tables: dict[int, Tensor]
    hidden: list[Tensor]
    output: Tensor
    fresh_units: int = 0
    fresh_columns: int = 0
    generator: torch.Generator | None = None  # of fresh units' values


class Tower(nn.Module):
    """One side of the model; `features` fixes the order of its inputs."""

    def __init__(
        self,
        features: Sequence[Feature],
        schema: FeatureSchema,
        config: ModelConfig,
        generator: torch.Generator,
        *,
        scaled: bool = False,
    ) -> None:
        super().__init__()
        self.names = [feature.name for feature in features]
        built = [
            build_encoder(each, schema, config.columns, generator.initial_seed())
            for each in features
        ]
        self.encoders = nn.ModuleList(encoder for encoder, _ in built)
        widths = [sum(columns for _, columns in built), *config.hidden, config.dim]
        self.layers = nn.ModuleList(
            OwnedLinear(inputs, units, generator) for inputs, units in pairwise(widths)
        )
        self.normalise = config.normalise == "segment"
        self.log_scales = nn.ParameterList(
            [nn.Parameter(torch.full((1,), config.initial_log_scale))]
            if scaled and self.normalise
            else []
        )

    @property
    def dense(self) -> list[OwnedLinear]:
        """The layers: hidden ones, then the output."""
        return [cast("OwnedLinear", layer) for layer in self.layers]

    @property
    def owners(self) -> int:
        """T, the number of owners so far."""
        return len(self.dense[0].weights)

    def forward(self, arrays: Mapping[str, Tensor], owners: int | None = None) -> ByOwner:
        """Encoded features → segments, per owner [B, M_t]."""
        count = self.owners if owners is None else owners
        hidden = self._inputs([arrays[name] for name in self.names], count)
        for layer in self.dense[:-1]:
            hidden = [functional.relu(units) for units in layer(hidden)]
        segments: ByOwner = self.dense[-1](hidden)
        return self._normalised(segments) if self.normalise else segments

    def _inputs(self, arrays: list[Tensor], owners: int) -> ByOwner:
        encoded = [
            encoder(array, owners) for encoder, array in zip(self.encoders, arrays, strict=True)
        ]
        none = encoded[0][0][:, :0]  # what later owners get from inputs that are all raw
        return [
            torch.cat([parts[owner] for parts in encoded if owner < len(parts)] or [none], dim=1)
            for owner in range(owners)
        ]

    def _normalised(self, segments: ByOwner) -> ByOwner:
        unit = [functional.normalize(segment, dim=1) for segment in segments]
        if not self.log_scales:
            return unit
        return [segment * self.log_scales[owner].exp() for owner, segment in enumerate(unit)]

    def tables(self) -> dict[int, CategoryEncoder]:
        """The encoders that own parameters, by their place among the inputs."""
        return {
            place: encoder
            for place, encoder in enumerate(self.encoders)
            if isinstance(encoder, CategoryEncoder)
        }

    def split(self, split: TowerSplit) -> None:
        """Pass all units of the last owner that `split` does not keep to a new owner."""
        keep_below = self._input_mask(split)
        marks = [
            encoder.split(split.tables[place], split.fresh_columns)
            for place, encoder in self.tables().items()
        ]
        fresh_below = torch.cat(marks) if marks else torch.zeros(0, dtype=torch.bool)
        units = [split.fresh_units] * len(split.hidden) + [0]
        for layer, keep, fresh in zip(
            self.dense, [*split.hidden, split.output], units, strict=True
        ):
            fresh_below = layer.split(keep_below, keep, fresh_below, fresh, split.generator)
            keep_below = keep
        if self.log_scales:
            *upstream, last = self.log_scales
            replace_entries(self.log_scales, [*upstream, last, last])

    def _input_mask(self, split: TowerSplit) -> Tensor:
        """The marks of the last owner's inputs, in input order; raw inputs stay with the first."""
        masks = []
        for place, encoder in enumerate(self.encoders):
            if isinstance(encoder, InputEncoder):
                raw = encoder.columns if self.owners == 1 else 0
                masks.append(torch.ones(raw, dtype=torch.bool))
            else:
                masks.append(split.tables[place])
        return torch.cat(masks)


class TwoTower(nn.Module):
    """User and item tower with the same owners."""

    def __init__(self, schema: FeatureSchema, config: ModelConfig, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.user = Tower(schema.user, schema, config, generator, scaled=True)
        self.item = Tower(schema.item, schema, config, generator)

    @property
    def owners(self) -> int:
        """T, the number of owners so far."""
        return self.user.owners

    @property
    def segment_sizes(self) -> tuple[int, ...]:
        """M_t per owner."""
        return tuple(len(bias) for bias in self.user.dense[-1].biases)
