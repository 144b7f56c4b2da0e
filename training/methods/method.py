"""What a method is: a network, the phases that train it, and the towers that are served.

Decisions
- All methods share the log, the features, the encoders, the batches, the trainer and the exporter.
  What is left to a method is its network, its losses and their order.
- A method serves one model or several. Each becomes a bundle of its own; a model without segments
  of the cascade is one segment, and is called after what it was trained for.
- Starting from the exposure model is phase 0, with the same draws whatever the method, so all
  methods start from the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from bundle.manifest import StageCertificate
from bundle.segments import Segments
from training.certificate import certify_whole
from training.data import TrainingData
from training.model import ServedTower
from training.phase import Phase


@dataclass(frozen=True)
class Served:
    """One model to release."""

    user: ServedTower
    item: ServedTower
    segments: Segments
    certificates: Sequence[StageCertificate]


class Method(Protocol):
    """How one model, or several, are trained on one log."""

    certificates: list[StageCertificate]  # issued so far; kept in checkpoints

    @property
    def network(self) -> nn.Module:
        """Holds every parameter of the method."""
        ...

    def phases(self) -> list[Phase]:
        """All phases, in order; the same list after a restart."""
        ...

    def served(self) -> dict[str, Served]:
        """The trained models by name; the only one of a method is called ""."""
        ...


def serve_whole(user: ServedTower, item: ServedTower, name: str, data: TrainingData) -> Served:
    """A model whose vectors have no segments: one segment, called `name`."""
    with torch.no_grad():
        first = {feature: values[:1] for feature, values in data.items.items()}
        dim = sum(segment.shape[1] for segment in item(first))
    certificate = certify_whole(name, user, item, data)
    return Served(user, item, Segments((name,), (dim,)), [certificate])
