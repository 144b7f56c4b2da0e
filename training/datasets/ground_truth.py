"""The world behind a simulated log: who likes what at which stage, and why the stages disagree.

Ground truth. An item i has F = 16 factors x_i (unit length, around one of G categories), a
popularity, a price and a birth. A user u has a taste z_u (unit length, around one of 12 segments)
and a sensitivity to price that grows with the segment. Stage t of exposure (D), click (O),
conversion (R) reads the taste through

    θ_u^t = √(1−c)·z_u + √c·(R_t z_u + σ_t g),      σ_D = 0, σ_O = +1, σ_R = −1

where c is the conflict, R_t a random rotation per stage and g one direction of appeal: what makes
people click holds them back from converting. With c = 0 the stages agree; with c = 1 they share
nothing but the users. The logits of an event at position p are

    exposure    8 θ^D·x + 6 h_hour·x + 0.7 log popularity + Gumbel noise  (the top ones are exposed)
    click       8 θ^O·x − 0.3 log(1 + p) + b_O
    conversion  8 θ^R·x − sensitivity × price z-score + b_R

and the biases b are solved so that the clicks per exposure and conversions per click asked for
hold on a sample of requests over the whole time span. What the log shows of this world: ids,
segment, hour, category, price, clicks of the past, and ``content``, a noisy view of x that lets
cold items be served.

Decisions: rotations and appeal are shared by all users, so that sparse conversions can be learnt
from everybody's; a cold item is drawn with its full popularity from its birth on.

Legend: F factors, G categories, H hours, I items, S segments, U users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

F = 16
SEGMENTS = 12
STAGES = ("exposure", "click", "conversion")
APPEAL = {"exposure": 0.0, "click": 1.0, "conversion": -1.0}
TASTE_SCALE = 8.0
HOUR_SCALE = 6.0
POPULARITY_SCALE = 0.7
POSITION_SCALE = 0.3
CATEGORY_SCALE = 6.0
CONTENT_NOISE = 0.15


@dataclass(frozen=True)
class World:
    """All drawn quantities. Times are shares of the log's span, in [0, 1)."""

    items_IF: Floats
    content_IF: Floats
    category_I: Ints  # ascending: items of one category are neighbours
    log_popularity_I: Floats
    price_z_I: Floats
    birth_I: Floats
    centers_GF: Floats
    taste_UF: Floats
    utility_UF: dict[str, Floats]
    segment_U: Ints
    price_sensitivity_U: Floats
    activity_U: Floats  # cumulative, ends at 1
    hours_HF: Floats


def draw_world(
    users: int, items: int, conflict: float, cold_share: float, rng: np.random.Generator
) -> World:
    """Draws a world; a pure function of its arguments and the generator's state."""
    groups = int(np.clip(np.sqrt(items), 4, 64))
    centers_GF = _unit(rng.normal(size=(groups, F)))
    category_I = np.sort(rng.integers(groups, size=items))
    items_IF = _unit(centers_GF[category_I] + _unit(rng.normal(size=(items, F))))
    noise_IF = rng.normal(scale=CONTENT_NOISE, size=(items, F))
    birth_I = np.zeros(items)
    cold = rng.random(items) < cold_share
    birth_I[cold] = rng.uniform(0.4, 0.95, cold.sum())

    segment_U = rng.integers(SEGMENTS, size=users)
    segments_SF = _unit(rng.normal(size=(SEGMENTS, F)))
    taste_UF = _unit(segments_SF[segment_U] + _unit(rng.normal(size=(users, F))))
    appeal_F = _unit(rng.normal(size=(1, F)))[0]
    activity_U = np.cumsum(rng.lognormal(sigma=0.8, size=users))
    return World(
        items_IF=items_IF,
        content_IF=(items_IF + noise_IF).astype(np.float32),
        category_I=category_I,
        log_popularity_I=rng.normal(scale=1.0, size=items).astype(np.float32),
        price_z_I=rng.normal(size=items).astype(np.float32),
        birth_I=birth_I.astype(np.float32),
        centers_GF=centers_GF,
        taste_UF=taste_UF,
        utility_UF={
            stage: _utility(taste_UF, conflict, APPEAL[stage] * appeal_F, rng) for stage in STAGES
        },
        segment_U=segment_U,
        price_sensitivity_U=np.linspace(0.0, 1.2, SEGMENTS, dtype=np.float32)[segment_U],
        activity_U=(activity_U / activity_U[-1]).astype(np.float32),
        hours_HF=_unit(rng.normal(size=(24, F))),
    )


def _utility(
    taste_UF: Floats, conflict: float, appeal_F: Floats, rng: np.random.Generator
) -> Floats:
    """θ_u^t of the module docstring, divided by its expected length."""
    rotation_FF, _ = np.linalg.qr(rng.normal(size=(F, F)))
    own_UF = taste_UF @ rotation_FF + appeal_F
    length = np.sqrt(1 - conflict + conflict * (1 + appeal_F @ appeal_F))
    mixed_UF = np.sqrt(1 - conflict) * taste_UF + np.sqrt(conflict) * own_UF
    utility_UF: Floats = (mixed_UF / length).astype(np.float32)
    return utility_UF


def _unit(rows: NDArray[np.floating[Any]]) -> Floats:
    unit: Floats = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return unit
