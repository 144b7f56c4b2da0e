"""Batches as a pure function of (seed, phase, step): resuming needs no state of a random generator.

Decisions
- Every draw has its own generator, seeded by where the draw happens. Killing a run at any step and
  starting it again draws what an undisturbed run draws.
- The items of a batch are one list of rows, encoded in one pass of the item tower: B positives,
  then K mixed negatives, then H candidates of the positive's own request that did not come as far.

Dimension letters: B positives, K mixed negatives, H candidates of a positive's request,
X = B + K + H candidates that each positive is held against, P positives of the stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundle.features import Categorical, Feature
from training.config import SamplingConfig, StageConfig
from training.data import Candidates, Positives, Rows, TrainingData
from training.losses import log_expected_count


@dataclass(frozen=True)
class Batch:
    """Inputs of both towers, and per candidate its log expected count and whether it is masked."""

    users: dict[str, Tensor]
    items: dict[str, Tensor]  # B + K + B·H rows
    size: int  # B
    mixed: int  # K
    log_count_X: Tensor  # of the B + K shared candidates; zeros without logQ
    log_count_BH: Tensor  # of each row's own candidates
    masked_BX: Tensor  # True: not a negative


@dataclass(frozen=True)
class Draw:
    """Where in a run a random choice is made."""

    seed: int
    phase: int

    def generator(self, purpose: int, index: int) -> np.random.Generator:
        """A generator of its own for each purpose and epoch or step."""
        return np.random.default_rng([self.seed, self.phase, purpose, index])


ORDER, CHOICE = 0, 1  # purposes
Marks = NDArray[np.bool_]


class BatchPlan:
    """All batches of one phase: `plan[step]` for step in range(len(plan))."""

    def __init__(
        self,
        data: TrainingData,
        positives: Positives,
        settings: StageConfig,
        sampling: SamplingConfig,
        draw: Draw,
        share: float = 1.0,
    ) -> None:
        """`share` keeps the most recent part of the positives."""
        self.data, self.positives, self.settings = data, positives, settings
        self.sampling, self.draw = sampling, draw
        total = len(positives)
        self.first = total - round(total * share)
        self.count = total - self.first
        self.steps_per_epoch = -(-self.count // settings.batch_size)
        self._order: tuple[int, Rows] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return self.steps_per_epoch * self.settings.epochs

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step, the same whenever it is asked for."""
        epoch, place = divmod(step, self.steps_per_epoch)
        start = place * self.settings.batch_size
        chosen_B = self.first + self._epoch_order(epoch)[start : start + self.settings.batch_size]
        return _collate(self, chosen_B, self.draw.generator(CHOICE, step))

    def _epoch_order(self, epoch: int) -> Rows:
        if self._order[0] != epoch:
            self._order = (epoch, self.draw.generator(ORDER, epoch).permutation(self.count))
        return self._order[1]


def _collate(plan: BatchPlan, chosen_B: Rows, rng: np.random.Generator) -> Batch:
    data, settings, sampling = plan.data, plan.settings, plan.sampling
    positives, exposures = plan.positives, data.positives[0]
    request_B, item_B = positives.request_P[chosen_B], positives.item_P[chosen_B]
    mixed_K = exposures.item_P[rng.integers(len(exposures), size=settings.mixed_negatives)]
    own = _draw_own(positives.below, request_B, settings.request_negatives, rng)
    shared_X = np.concatenate([item_B, mixed_K])
    masked_BX = _masked(request_B, item_B, shared_X, sampling)
    item_rows = torch.from_numpy(np.concatenate([shared_X, own.item_BH.ravel()]))
    user_arrays = _take(data.requests, torch.from_numpy(request_B))
    item_arrays = _take(data.items, item_rows)
    return Batch(
        users=_hide(user_arrays, data.schema.user, sampling.unknown_rate, rng),
        items=_hide(item_arrays, data.schema.item, sampling.unknown_rate, rng),
        size=len(item_B),
        mixed=len(mixed_K),
        log_count_X=_log_counts(plan, shared_X, len(item_B)),
        log_count_BH=torch.from_numpy(own.log_count_BH) * float(sampling.logq),
        masked_BX=torch.from_numpy(np.concatenate([masked_BX, own.absent_BH], axis=1)),
    )


def _masked(request_B: Rows, item_B: Rows, shared_X: Rows, sampling: SamplingConfig) -> Marks:
    """[B, X] True where a shared candidate is the row's own positive or a known positive of it."""
    if not sampling.mask_known:
        return np.eye(len(item_B), len(shared_X), dtype=np.bool_)
    rows_B, items_X = request_B.astype(np.int32), shared_X.astype(np.int32)  # compare in half
    masked_BX: Marks = items_X == items_X[: len(item_B), None]
    masked_BX[:, : len(item_B)] |= rows_B == rows_B[:, None]
    return masked_BX


def _log_counts(plan: BatchPlan, shared_X: Rows, batch: int) -> Tensor:
    if not plan.sampling.logq:
        return torch.zeros(len(shared_X))
    rows_X = torch.from_numpy(shared_X)
    share_X, first_share_X = (
        source.share_N[rows_X] for source in (plan.positives, plan.data.positives[0])
    )
    return log_expected_count(share_X, batch, first_share_X, plan.settings.mixed_negatives)


@dataclass(frozen=True)
class _Own:
    item_BH: Rows
    log_count_BH: NDArray[np.float32]  # H draws out of the request's candidates
    absent_BH: Marks  # the request has no candidate; the item is a placeholder


def _draw_own(
    source: Candidates, request_B: Rows, per_positive: int, rng: np.random.Generator
) -> _Own:
    shape = (len(request_B), per_positive if len(source.item_C) else 0)
    count_BH = np.broadcast_to(source.count_R[request_B][:, None], shape)
    place_BH = (rng.random(shape) * count_BH).astype(np.int64)
    absent_BH = count_BH == 0
    rows_BH = np.where(absent_BH, 0, source.start_R[request_B][:, None] + place_BH)
    log_count_BH = np.log(per_positive / np.maximum(count_BH, 1)) if shape[1] else np.empty(shape)
    return _Own(source.item_C[rows_BH], log_count_BH.astype(np.float32), absent_BH)


def _take(arrays: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    return {name: array[rows] for name, array in arrays.items()}


def _hide(
    arrays: dict[str, Tensor], features: Sequence[Feature], rate: float, rng: np.random.Generator
) -> dict[str, Tensor]:
    """Turn a share of each categorical feature's values into `unknown`."""
    for feature in features:
        if rate > 0 and isinstance(feature, Categorical):
            ids_B = arrays[feature.name]
            hidden_B = torch.from_numpy(rng.random(len(ids_B)) < rate)
            arrays[feature.name] = ids_B.masked_fill(hidden_B, 0)
    return arrays
