"""The loss of one stage on one batch: encode, score, correct, weigh, compare.

Decisions
- A stage's score is the sum over the segments of all owners up to and including its own
  (s_d = e_d·v_d, s_o = s_d + e_o·v_o, …). While a stage trains, its own segment is all
  that upstream did not keep; while it recovers, it is what the stage itself keeps.
- The upstream score is Σ_{t < stage} s_t, which is Eq. 8 with unit weights: one more inner product.
  It carries no gradient, as upstream is frozen.
- A model of one segment has the same loss; its upstream score, if it has one, is that of frozen
  models trained before it.
- Logits are built by adding scores onto what does not train, and a row's positive stays where its
  batch has it, on the diagonal: few passes over [B, X], which cost as much as the towers.
- What is masked gets a logit that no softmax sees, and not −inf: its share is 0 all the same, and
  0 times its log is 0 then, so that distillation needs no masks.
- Where only lists teach (`own` is 0) nothing of the positives is computed, the margin included.

Dimension letters: B positives, X candidates shared by the batch, H candidates of a row's own,
M vector dims.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.batches import Batch
from training.losses import distillation, sampled_softmax, taught_shares, with_margin
from training.method_config import MarginConfig
from training.model import TwoTower
from training.ownership import ByOwner, joined

MASKED = -1e9  # a logit
NO_MARGIN = MarginConfig(form="none")
Towers = tuple[Callable[[Mapping[str, Tensor]], ByOwner], Callable[[Mapping[str, Tensor]], ByOwner]]


def stage_losses(
    model: TwoTower,
    batch: Batch,
    stage: int,
    widths: Sequence[int],
    margin: MarginConfig,
    taught: Taught | None = None,
) -> list[Tensor]:
    """The loss of `stage` over the segments of the first w owners, for each w of `widths`.

    Two widths, the stage's owners and all owners, make recovery nested; one forward pass serves,
    and the wider score is the narrower one plus what the further segments add. With a teacher, each
    loss has a second part: how far the list is from the teacher's, without any margin.
    """
    users, items = model.user(batch.users, max(widths)), model.item(batch.items, max(widths))
    margin = _of_use(margin, taught)
    delta_BX = _upstream_margin(users, items, batch, stage) if margin.form != "none" else None
    logits_BX = _constants(batch, delta_BX, margin)
    moved_BX = _moved(batch, delta_BX, margin) if taught is not None else None
    logits_BX = add_scores(logits_BX, users[:stage], items[:stage], batch)  # frozen: no gradient
    losses, start = [], stage
    for width in widths:
        logits_BX = add_scores(logits_BX, users[start:width], items[start:width], batch)
        losses.append(_loss(logits_BX, taught, moved_BX))
        start = width
    return losses


@dataclass(frozen=True)
class Taught:
    """Teachers' shares of the candidates of one batch, what they count, and the positives."""

    shares_BX: Tensor  # softmax of their mean logits, [B, X + H]
    entropy: Tensor  # of it, mean over rows
    weight: float
    own: float = 1.0


def taught_by(
    teachers: Sequence[TwoTower], batch: Batch, weight: float, own: float = 1.0
) -> Taught:
    """What frozen models of one segment say of a batch: the mean of their scores."""
    with torch.no_grad():
        logits_BX = _constants(batch, None, NO_MARGIN)
        for teacher in teachers:
            users = [segment / len(teachers) for segment in teacher.user(batch.users)]
            logits_BX = add_scores(logits_BX, users, teacher.item(batch.items), batch)
        return Taught(*taught_shares(logits_BX), weight, own)


def batch_loss(
    users: ByOwner,
    items: ByOwner,
    batch: Batch,
    delta_BX: Tensor | None,
    margin: MarginConfig,
    taught: Taught | None = None,
) -> Tensor:
    """Eq. 6 on one batch, from segments of `users` [B, M] and `items` [B + K + B·H, M]."""
    margin = _of_use(margin, taught)
    logits_BX = add_scores(_constants(batch, delta_BX, margin), users, items, batch)
    moved_BX = _moved(batch, delta_BX, margin) if taught is not None else None
    return _loss(logits_BX, taught, moved_BX)


def frozen_margin(upstream: Sequence[Towers], batch: Batch) -> Tensor | None:
    """Δ of Eq. 7 by the sum of the scores of frozen models, [B, X + H]; None without any."""
    if not upstream:
        return None
    with torch.no_grad():
        scores_BX = torch.zeros(batch.masked_BX.shape)
        for user, item in upstream:
            scores_BX = add_scores(scores_BX, user(batch.users), item(batch.items), batch)
        return _differences(scores_BX)


def _upstream_margin(users: ByOwner, items: ByOwner, batch: Batch, stage: int) -> Tensor | None:
    """Δ of Eq. 7, [B, X + H]; None in the first stage."""
    if stage == 0:
        return None
    with torch.no_grad():
        scaled = [segment * (stage - owner) for owner, segment in enumerate(users[:stage])]
        nothing_BX = torch.zeros(batch.masked_BX.shape)
        return _differences(add_scores(nothing_BX, scaled, items[:stage], batch))


def _differences(scores_BX: Tensor) -> Tensor:
    """Of each row's positive, which is on the diagonal, and its candidates; in place."""
    positive_B1 = scores_BX.diagonal().clone().unsqueeze(1)
    return torch.sub(positive_B1, scores_BX, out=scores_BX)


def add_scores(onto_BX: Tensor, users: ByOwner, items: ByOwner, batch: Batch) -> Tensor:
    """`onto_BX` plus the inner products with all candidates, [B, X + H], in one pass."""
    if not users:
        return onto_BX
    users_BM, items_NM = joined(users), joined(items)
    shared = batch.size + batch.mixed
    scores_BX = torch.addmm(onto_BX[:, :shared], users_BM, items_NM[:shared].T)
    if len(items_NM) == shared:
        return scores_BX
    own_BHM = items_NM[shared:].reshape(batch.size, -1, items_NM.shape[1])
    own_BH = (users_BM.unsqueeze(1) * own_BHM).sum(dim=2)
    return torch.cat([scores_BX, onto_BX[:, shared:] + own_BH], dim=1)


def _constants(batch: Batch, delta_BX: Tensor | None, margin: MarginConfig) -> Tensor:
    """What logits hold beside scores, [B, X + H]: logQ, margin, masks. Nothing here trains."""
    with torch.no_grad():
        shared_BX = batch.log_count_X.expand(batch.size, -1)
        constants_BX = torch.cat([shared_BX, batch.log_count_BH], dim=1).neg_()
        if delta_BX is not None:
            constants_BX = with_margin(constants_BX, delta_BX, margin)
        constants_BX.masked_fill_(batch.masked_BX, MASKED)
        constants_BX.diagonal().copy_(-batch.log_count_X[: batch.size])  # the positives
        return constants_BX


def _of_use(margin: MarginConfig, taught: Taught | None) -> MarginConfig:
    """A margin is between positives and others, and lists know none."""
    return NO_MARGIN if taught is not None and not taught.own else margin


def _moved(batch: Batch, delta_BX: Tensor | None, margin: MarginConfig) -> Tensor | None:
    """By how much the margin moves each candidate's logit, [B, X + H]; a positive's not at all."""
    if delta_BX is None or margin.form == "none":
        return None
    with torch.no_grad():
        moved_BX = with_margin(torch.zeros_like(delta_BX), delta_BX, margin)
        moved_BX.diagonal().zero_()
        return moved_BX


def _loss(logits_BX: Tensor, taught: Taught | None, moved_BX: Tensor | None) -> Tensor:
    """Of the positives; with teachers also of their lists, which know no margin."""
    positive_B = torch.arange(len(logits_BX))
    if taught is None:
        return sampled_softmax(logits_BX, positive_B)
    plain_BX = logits_BX if moved_BX is None else logits_BX - moved_BX
    lists = taught.weight * distillation(plain_BX, taught.shares_BX, taught.entropy)
    return taught.own * sampled_softmax(logits_BX, positive_B) + lists if taught.own else lists
