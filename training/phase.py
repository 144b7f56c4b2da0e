"""What a method asks the trainer to do: phases, each a number of steps with one optimiser.

Decisions
- A phase is data until it starts: what learns and what a step's loss is are asked for only then,
  since an earlier phase may have changed the model (pruning, copies).
- A step's loss is a function of the step's number, so that resuming needs no random state.
- A phase that trains an exposure model says so (`pretrains`): one of the same seed is the same for
  every method on one log, and trained once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor, nn

from training.model import TwoTower


class StepLoss(NamedTuple):
    """The loss to lower, the loss to show, and how many positives were seen for it."""

    total: Tensor
    shown: Tensor
    examples: int


@dataclass(frozen=True)
class Steps:
    """The steps of a phase that has started."""

    count: int
    parameters: list[nn.Parameter]  # that learn, in a fixed order
    loss: Callable[[int], StepLoss]


class Pretrains(NamedTuple):
    """An exposure model to train, and the seed of its values and draws."""

    network: TwoTower
    seed: int


def nothing() -> None:
    """What most phases do at their end."""


@dataclass(frozen=True)
class Phase:
    """One stretch of training with one optimiser."""

    name: str
    learning_rate: float
    start: Callable[[], Steps]
    finish: Callable[[], None] = nothing
    pretrains: Pretrains | None = None
    decay: Literal["none", "linear"] = "none"

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step."""
        return self.learning_rate * (1.0 if self.decay == "none" else 1.0 - step / steps)
