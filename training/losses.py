"""Sampled softmax with an adaptive margin (Sec. 4.3), over the scores of one batch.

Decisions
- The denominator holds the positive (Eq. 6), not only the negatives (Eq. 2).
- logQ: each logit is lowered by the log of how often its item is expected to be drawn. In-batch
  items and negatives mixed in from exposures are one sample, and thereby estimate ONE softmax over
  the catalogue, in whatever proportion they are drawn. Unexposed candidates of the request are a
  sample of their own: in the expected denominator they weigh twice what other items do.
- The margin weighs pairs by what UPSTREAM thinks of them. With Δ = s_up(i) − s_up(j) for positive i
  and negative j, upstream being frozen:

      m = Δ + σ  if Δ >= 0  else  −η·Δ + σ                                               (Eq. 7)
      loss = −log exp(s_i) / (exp(s_i) + Σ_j exp(s_j − m))                               (Eq. 6)

  As printed (`literal`), m >= 0 lowers every negative: easy pairs, and for η > 1 conflicting pairs
  even more. Upstream favourites stay in place; AML acts as a conservative regulariser. `additive`
  and `signed` are the readings under which conflicting pairs would weigh more.
- s_up is the sum of all upstream stages' scores. The paper multiplies probabilities,
  s_o' = s_d·s_o; with p ∝ exp(s) the log of that product is this sum, up to a constant per user
  that cancels in Δ.

Dimension letters: B positives, X candidates per positive.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from training.method_config import MarginConfig


def sampled_softmax(logits_BX: Tensor, positive_B: Tensor) -> Tensor:
    """Mean of −log softmax of each row's positive column (Eq. 6 with m folded in).

    A masked negative is −inf. One fused kernel: half the time of logsumexp and its gradient.
    """
    return functional.cross_entropy(logits_BX, positive_B)


def taught_shares(logits_BX: Tensor) -> tuple[Tensor, Tensor]:
    """A teacher's softmax over each row, and its mean entropy. What is masked is finite."""
    log_BX = torch.log_softmax(logits_BX, dim=1)
    shares_BX = log_BX.exp()
    return shares_BX, -(shares_BX * log_BX).sum(dim=1).mean()


def distillation(logits_BX: Tensor, shares_BX: Tensor, entropy: Tensor) -> Tensor:
    """Mean KL divergence of a teacher's shares of a row from the student's softmax over it."""
    return functional.cross_entropy(logits_BX, shares_BX) - entropy


def adaptive_margin(delta_BX: Tensor, config: MarginConfig) -> Tensor:
    """m of Eq. 7 from Δ = s_up(positive) − s_up(negative)."""
    slopes_BX = functional.leaky_relu(delta_BX, negative_slope=-config.eta)  # Δ or −η·Δ
    return slopes_BX + config.sigma if config.sigma else slopes_BX


def with_margin(negatives_BX: Tensor, delta_BX: Tensor, config: MarginConfig) -> Tensor:
    """Negative logits with the margin of Eq. 6 in the chosen form."""
    if config.form == "none":
        return negatives_BX
    margin_BX = adaptive_margin(delta_BX, config)
    if config.form == "literal":
        return negatives_BX - margin_BX
    if config.form == "additive":
        return negatives_BX + margin_BX
    return torch.where(delta_BX >= 0, negatives_BX - margin_BX, negatives_BX + margin_BX)


def log_expected_count(share_X: Tensor, batch: int, first_share_X: Tensor, mixed: int) -> Tensor:
    """log(B·q_stage + K·q_D): how often an item is expected among B in-batch and K mixed items.

    The usual normaliser log(B + K) is the same for all logits of a row, so it cancels.
    """
    return torch.log(batch * share_X + mixed * first_share_X)
