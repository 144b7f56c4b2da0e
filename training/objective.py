"""The loss of one stage on one batch: encode, score, correct, weigh, compare.

Decisions
- A stage's score is the sum over the segments of all owners up to and including its own
  (s_d = e_d·v_d, s_o = s_d + e_o·v_o, …). While a stage trains, its own segment is all
  that upstream did not keep; while it recovers, it is what the stage itself keeps.
- The upstream score is Σ_{t < stage} s_t, which is Eq. 8 with unit weights: one more inner product.
  It carries no gradient, as upstream is frozen.
- A model of one segment has the same loss; its upstream score, if it has one, is that of frozen
  models trained before it.

Dimension letters: B positives, X candidates shared by the batch, H candidates of a row's own,
M vector dims.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from training.batches import Batch
from training.config import MarginConfig
from training.losses import sampled_softmax, with_margin
from training.model import TwoTower
from training.ownership import ByOwner

Towers = tuple[Callable[[Mapping[str, Tensor]], ByOwner], Callable[[Mapping[str, Tensor]], ByOwner]]


def stage_losses(
    model: TwoTower, batch: Batch, stage: int, widths: Sequence[int], margin: MarginConfig
) -> list[Tensor]:
    """The loss of `stage` over the segments of the first w owners, for each w of `widths`.

    Two widths, the stage's owners and all owners, make recovery nested; one forward pass serves.
    """
    users, items = model.user(batch.users, max(widths)), model.item(batch.items, max(widths))
    delta_BX = _upstream_margin(users, items, batch, stage) if stage > 0 else None
    return [batch_loss(users[:width], items[:width], batch, delta_BX, margin) for width in widths]


def batch_loss(
    users: ByOwner, items: ByOwner, batch: Batch, delta_BX: Tensor | None, margin: MarginConfig
) -> Tensor:
    """Eq. 6 on one batch, from segments of `users` [B, M] and `items` [B + K + B·H, M]."""
    count_B, counts_BX = _log_counts(batch)
    positive_B, negatives_BX = batch_scores(users, items, batch)
    logits_BX = negatives_BX - counts_BX
    if delta_BX is not None:
        logits_BX = with_margin(logits_BX, delta_BX, margin)
    logits_BX = logits_BX.masked_fill(batch.masked_BX, -torch.inf)
    return sampled_softmax(positive_B - count_B, logits_BX)


def frozen_margin(upstream: Sequence[Towers], batch: Batch) -> Tensor | None:
    """Δ of Eq. 7 by the sum of the scores of frozen models, [B, X + H]; None without any."""
    if not upstream:
        return None
    with torch.no_grad():
        scores = [
            batch_scores(user(batch.users), item(batch.items), batch) for user, item in upstream
        ]
        positive_B = torch.stack([positive for positive, _ in scores]).sum(dim=0)
        negatives_BX = torch.stack([negatives for _, negatives in scores]).sum(dim=0)
        return positive_B.unsqueeze(1) - negatives_BX


def _upstream_margin(users: ByOwner, items: ByOwner, batch: Batch, stage: int) -> Tensor:
    """Δ of Eq. 7, [B, X + H]."""
    with torch.no_grad():
        scaled = [segment * (stage - owner) for owner, segment in enumerate(users[:stage])]
        positive_B, negatives_BX = batch_scores(scaled, items[:stage], batch)
        return positive_B.unsqueeze(1) - negatives_BX


def batch_scores(users: ByOwner, items: ByOwner, batch: Batch) -> tuple[Tensor, Tensor]:
    """Inner products with the row's positive [B] and with all candidates [B, X + H]."""
    users_BM, items_NM = torch.cat(users, dim=1), torch.cat(items, dim=1)
    shared = batch.size + batch.mixed
    scores_BX = users_BM @ items_NM[:shared].T
    own_BHM = items_NM[shared:].reshape(batch.size, -1, items_NM.shape[1])
    own_BH = torch.einsum("bm,bhm->bh", users_BM, own_BHM)
    return scores_BX.diagonal(), torch.cat([scores_BX, own_BH], dim=1)


def _log_counts(batch: Batch) -> tuple[Tensor, Tensor]:
    shared_BX = batch.log_count_X.expand(batch.size, -1)
    return batch.log_count_X[: batch.size], torch.cat([shared_BX, batch.log_count_BH], dim=1)
