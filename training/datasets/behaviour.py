"""How page views happen in a simulated world: candidates, exposures, clicks, conversions.

Decisions
- Candidates come from categories the user's exposure utility favours, and within a category by
  popularity: that is what makes exposure personal and popular at once.
- The best-ranked candidates are exposed, the next ones are logged as ranked but not exposed.
- Click and conversion biases are solved on a sample, so the rates hold for any size and seed.

Legend: B requests, C candidates, E events, F factors, G categories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.datasets.ground_truth import (
    CATEGORY_SCALE,
    HOUR_SCALE,
    POPULARITY_SCALE,
    POSITION_SCALE,
    TASTE_SCALE,
    Floats,
    Ints,
    World,
)


@dataclass(frozen=True)
class PageViews:
    """Events of a batch of requests, in request order, exposed ones first and by position."""

    request_E: Ints  # row of the batch
    item_E: Ints
    position_E: Ints  # -1 = ranked, not exposed
    click_logit_E: Floats  # without bias
    conversion_logit_E: Floats  # without bias

    @property
    def exposed_E(self) -> NDArray[np.bool_]:
        """Which candidates the user saw."""
        return self.position_E >= 0


@dataclass(frozen=True)
class Biases:
    """The intercepts b_O and b_R of the ground truth."""

    click: float
    conversion: float


def draw_users(world: World, count: int, rng: np.random.Generator) -> Ints:
    """Users of ``count`` requests, the active ones more often."""
    drawn_B = np.searchsorted(world.activity_U, rng.random(count), side="right")
    return np.minimum(drawn_B, len(world.activity_U) - 1)


def draw_page_views(
    world: World,
    users_B: Ints,
    hours_B: Ints,
    time: float,
    exposures: float,
    unexposed: int,
    rng: np.random.Generator,
) -> PageViews:
    """What is shown in a batch of requests at ``time`` (share of the log's span)."""
    wanted_BF = TASTE_SCALE * world.utility_UF["exposure"][users_B]
    wanted_BF = wanted_BF + HOUR_SCALE * world.hours_HF[hours_B]
    items_BC = _candidates(world, users_B, time, _pool(exposures, unexposed), rng)
    score_BC = np.einsum("bf,bcf->bc", wanted_BF, world.items_IF[items_BC])
    score_BC += POPULARITY_SCALE * world.log_popularity_I[items_BC]
    score_BC += rng.gumbel(size=score_BC.shape).astype(np.float32)
    again_BC = np.zeros(items_BC.shape, dtype=bool)  # rows are sorted: repeats are neighbours
    again_BC[:, 1:] = items_BC[:, 1:] == items_BC[:, :-1]
    score_BC[again_BC] = -np.inf

    order_BC = np.argsort(-score_BC, axis=1)
    distinct_B = (~again_BC).sum(axis=1)
    seen_B = np.minimum(1 + rng.poisson(exposures - 1, size=len(users_B)), distinct_B)
    ranked_B = np.minimum(seen_B + unexposed, distinct_B)
    rank_C = np.arange(items_BC.shape[1])
    request_E, rank_E = np.nonzero(rank_C < ranked_B[:, None])
    item_E = np.take_along_axis(items_BC, order_BC, axis=1)[request_E, rank_E]
    position_E = np.where(rank_E < seen_B[request_E], rank_E, -1)
    click_E, conversion_E = _logits(world, users_B[request_E], item_E, np.maximum(position_E, 0))
    return PageViews(request_E, item_E, position_E, click_E, conversion_E)


def _pool(exposures: float, unexposed: int) -> int:
    """How many candidates to draw, so that a choice is left after repeats are taken out."""
    return int(max(3 * exposures, exposures + 3 * unexposed))


def _candidates(
    world: World, users_B: Ints, time: float, count: int, rng: np.random.Generator
) -> Ints:
    """Items [B, C] drawn by category taste, then popularity, among those born; rows sorted."""
    alive_I = np.exp(world.log_popularity_I) * (world.birth_I <= time)
    ends_I = np.cumsum(alive_I, dtype=np.float64)
    groups = len(world.centers_GF)
    bounds = np.searchsorted(world.category_I, np.arange(groups + 1))
    ends = np.concatenate([[0.0], ends_I])[bounds]
    starts_G, masses_G = ends[:-1], np.diff(ends)

    taste_BG = CATEGORY_SCALE * world.utility_UF["exposure"][users_B] @ world.centers_GF.T
    weight_BG = np.exp(taste_BG) * masses_G
    cumulative_BG = np.cumsum(weight_BG, axis=1)
    cumulative_BG /= cumulative_BG[:, -1:]
    drawn_BC = rng.random((len(users_B), count))
    group_BC = (drawn_BC[:, :, None] > cumulative_BG[:, None, :-1]).sum(axis=2)
    place_BC = starts_G[group_BC] + masses_G[group_BC] * rng.random(group_BC.shape)
    items_BC = np.searchsorted(ends_I, place_BC, side="right")
    return np.sort(np.minimum(items_BC, bounds[group_BC + 1] - 1), axis=1)


def _logits(world: World, users_E: Ints, items_E: Ints, positions_E: Ints) -> tuple[Floats, Floats]:
    """Click and conversion logits without biases."""
    x_EF = world.items_IF[items_E]
    click_E = TASTE_SCALE * np.einsum("ef,ef->e", world.utility_UF["click"][users_E], x_EF)
    click_E -= POSITION_SCALE * np.log1p(positions_E).astype(np.float32)
    converts_EF = world.utility_UF["conversion"][users_E]
    conversion_E = TASTE_SCALE * np.einsum("ef,ef->e", converts_EF, x_EF)
    conversion_E -= world.price_sensitivity_U[users_E] * world.price_z_I[items_E]
    return click_E, conversion_E


def calibrate(
    world: World,
    exposures: float,
    unexposed: int,
    exposures_per_click: float,
    clicks_per_conversion: float,
    rng: np.random.Generator,
) -> Biases:
    """Solves the biases on 32 batches of 256 page views spread over the whole time span."""
    views = []
    for time in (np.arange(32) + 0.5) / 32:
        users_B = draw_users(world, 256, rng)
        hours_B = rng.integers(24, size=256)
        views.append(draw_page_views(world, users_B, hours_B, time, exposures, unexposed, rng))
    exposed_E = np.concatenate([view.exposed_E for view in views])
    click_E = np.concatenate([view.click_logit_E for view in views], dtype=np.float64)[exposed_E]
    conversion_E = np.concatenate([view.conversion_logit_E for view in views], dtype=np.float64)[
        exposed_E
    ]
    click = _solve_bias(click_E, np.ones_like(click_E), 1 / exposures_per_click)
    conversion = _solve_bias(conversion_E, sigmoid(click_E + click), 1 / clicks_per_conversion)
    return Biases(click, conversion)


def _solve_bias(
    logits_E: NDArray[np.float64], weights_E: NDArray[np.float64], rate: float
) -> float:
    """b with weighted mean of σ(logit + b) = rate, by bisection (the mean grows with b)."""
    low, high = -60.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = np.average(sigmoid(logits_E + middle), weights=weights_E)
        low, high = (middle, high) if mean < rate else (low, middle)
    return (low + high) / 2


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + e^-x), without overflow."""
    return np.exp(-np.logaddexp(0.0, -logits))
