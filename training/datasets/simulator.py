"""A log with known ground truth, of any length, for demos and tests.

The world (utilities, conflict, popularity, cold items) is described in ground_truth, the making of
page views in behaviour.

Decisions
- Requests come in time order in batches of 1,024; the state kept between batches is one short list
  of recent clicks per user, so memory depends on users and items, never on the log's length.
- ``recent_items`` lists clicks of earlier batches only, as a feature pipeline with some delay does.
- Everything follows from the settings and the seed; nothing reads the clock.
- ``demo`` is dense enough for its clicks and conversions to be learnt in a minute or two. The other
  presets are the regimes in which methods are compared: ``dense``, the demo with more page views to
  judge; ``conflict``, the same with stages that hardly agree; ``funnel``, the funnel of the paper's
  industrial log (19 exposures a page view, 110 exposures a click, 63 clicks a conversion), with
  users and items few enough that a thousand conversions teach something.

Use: ``simulate(PRESETS["demo"], Path("demo/log"))``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.datasets.behaviour import (
    Biases,
    PageViews,
    calibrate,
    draw_page_views,
    draw_users,
    sigmoid,
)
from training.datasets.ground_truth import F, Ints, World, draw_world
from training.datasets.progress import in_batches
from training.logs.spec import Features, ItemFeature, LogSpec, StageColumn, UserFeature
from training.logs.writer import LogWriter

BATCH = 1024
RECENT = 20
DAY_MS = 86_400_000
START_MS = 1_704_067_200_000  # 2024-01-01, a Monday


class SimulatorSettings(BaseModel):
    """What to simulate; each field is an option of ``csmf-log simulate``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(description="name of the log")] = "simulated"
    users: Annotated[int, Field(ge=1, description="number of users")] = 4_000
    items: Annotated[int, Field(ge=50, description="size of the catalogue")] = 6_000
    requests: Annotated[int, Field(ge=1, description="number of page views")] = 24_000
    seed: Annotated[int, Field(ge=0, description="seed of everything drawn")] = 1
    conflict: Annotated[
        float, Field(ge=0, le=1, description="disagreement of the stages: 0 none, 1 complete")
    ] = 0.5
    cold_share: Annotated[
        float, Field(ge=0, le=0.5, description="share of items that appear late in the time span")
    ] = 0.1
    exposures: Annotated[float, Field(ge=1, description="mean exposures a page view")] = 15.0
    unexposed: Annotated[
        int, Field(ge=0, description="ranked but unexposed candidates logged with a page view")
    ] = 8
    exposures_per_click: Annotated[float, Field(gt=1, description="exposures for one click")] = 10.0
    clicks_per_conversion: Annotated[
        float, Field(gt=1, description="clicks for one conversion")
    ] = 8.0
    days: Annotated[int, Field(ge=1, description="time span of the log")] = 14
    start_ms: Annotated[int, Field(description="first moment, Unix milliseconds")] = START_MS

    @model_validator(mode="after")
    def _pages_fit_the_catalogue(self) -> Self:
        if self.items < 3 * (self.exposures + self.unexposed):
            raise ValueError(
                f"{self.items} items are too few for pages of {self.exposures:g} exposed and "
                f"{self.unexposed} unexposed: at least three times as many are needed"
            )
        return self


PRESETS = {
    "demo": SimulatorSettings(name="simulated-demo"),
    "dense": SimulatorSettings(name="simulated-dense", requests=40_000),
    "conflict": SimulatorSettings(name="simulated-conflict", requests=40_000, conflict=0.9),
    "funnel": SimulatorSettings(
        name="simulated-funnel",
        users=10_000,
        items=10_000,
        requests=400_000,
        exposures=19.0,
        exposures_per_click=110.0,
        clicks_per_conversion=63.0,
    ),
}


def simulate(settings: SimulatorSettings, out: Path) -> None:
    """Writes a log to ``out``, in row groups."""
    world_rng, calibration_rng, rng = (
        np.random.default_rng(seed) for seed in np.random.SeedSequence(settings.seed).spawn(3)
    )
    world = draw_world(
        settings.users, settings.items, settings.conflict, settings.cold_share, world_rng
    )
    biases = calibrate(
        world,
        settings.exposures,
        settings.unexposed,
        settings.exposures_per_click,
        settings.clicks_per_conversion,
        calibration_rng,
    )
    ids = _Ids.of(settings)
    recent_UL = np.full((settings.users, RECENT), -1, dtype=np.int32)
    with LogWriter(out, _spec(settings)) as writer:
        writer.append("items", _items_table(world, ids))
        writer.append("users", _users_table(world, ids, world_rng))
        for rows in in_batches(settings.requests, BATCH, "request"):
            requests, events = _batch(settings, world, biases, ids, recent_UL, rows, rng)
            writer.append("requests", requests)
            writer.append("events", events)


def _batch(
    settings: SimulatorSettings,
    world: World,
    biases: Biases,
    ids: _Ids,
    recent_UL: NDArray[np.int32],
    rows: range,
    rng: np.random.Generator,
) -> tuple[pa.Table, pa.Table]:
    """The tables of one batch of requests; advances ``recent_UL``."""
    share_B = (np.arange(rows.start, rows.stop) + rng.random(len(rows))) / settings.requests
    ts_B = settings.start_ms + _daily_rhythm(share_B * settings.days)
    hours_B = ts_B // (DAY_MS // 24) % 24
    users_B = draw_users(world, len(rows), rng)
    views = draw_page_views(
        world, users_B, hours_B, share_B[0], settings.exposures, settings.unexposed, rng
    )
    clicked_E = views.exposed_E & _happens(views.click_logit_E, biases.click, rng)
    converted_E = clicked_E & _happens(views.conversion_logit_E, biases.conversion, rng)
    request_ids = _numbered("r", np.arange(rows.start, rows.stop))
    requests = pa.table(
        {
            "request_id": request_ids,
            "user_id": ids.users.take(pa.array(users_B)),
            "ts": ts_B,
            "hour": hours_B,
            "weekday": (ts_B // DAY_MS + 3) % 7,  # 1970-01-01 was a Thursday; Monday is 0
            "recent_items": _recent_lists(recent_UL[users_B], ids.items),
        }
    )
    events = pa.table(
        {
            "request_id": request_ids.take(pa.array(views.request_E)),
            "item_id": ids.items.take(pa.array(views.item_E)),
            "position": views.position_E.astype(np.int32),
            "exposed": views.exposed_E,
            "clicked": clicked_E,
            "converted": converted_E,
        }
    )
    _remember(recent_UL, users_B, views, clicked_E)
    return requests, events


def _happens(
    logits_E: NDArray[np.float32], bias: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    return rng.random(len(logits_E)) < sigmoid(logits_E.astype(np.float64) + bias)


def _daily_rhythm(days_B: NDArray[np.float64]) -> Ints:
    """Milliseconds for evenly spread moments (in days), crowded into the evenings; monotone."""
    hours = np.arange(24)
    intensity_H = 1.2 + np.cos((hours - 20) / 24 * 2 * np.pi)
    cumulative = np.concatenate([[0.0], np.cumsum(intensity_H)]) / intensity_H.sum()
    whole_B = np.floor(days_B)
    within_B = np.interp(days_B - whole_B, cumulative, np.arange(25) / 24)
    return ((whole_B + within_B) * DAY_MS).astype(np.int64)


def _remember(
    recent_UL: NDArray[np.int32], users_B: Ints, views: PageViews, clicked_E: NDArray[np.bool_]
) -> None:
    """Appends each click to its user's list, the newest last."""
    for request, item in zip(views.request_E[clicked_E], views.item_E[clicked_E], strict=True):
        row_L = recent_UL[users_B[request]]
        row_L[:-1] = row_L[1:]
        row_L[-1] = item


class _Ids:
    """The id strings of users and items, as arrow arrays to take from."""

    def __init__(self, users: pa.Array, items: pa.Array) -> None:
        self.users = users
        self.items = items

    @classmethod
    def of(cls, settings: SimulatorSettings) -> _Ids:
        return cls(
            _numbered("u", np.arange(settings.users)), _numbered("i", np.arange(settings.items))
        )


def _numbered(letter: str, numbers: Ints) -> pa.Array:
    return pa.array([f"{letter}{number:08d}" for number in numbers.tolist()], pa.string())


def _recent_lists(recent_BL: NDArray[np.int32], item_ids: pa.Array) -> pa.Array:
    """Rows of item ids without the padding."""
    there_BL = recent_BL >= 0
    offsets = np.concatenate([[0], np.cumsum(there_BL.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), item_ids.take(pa.array(recent_BL[there_BL])))


def _items_table(world: World, ids: _Ids) -> pa.Table:
    content = pa.FixedSizeListArray.from_arrays(
        pa.array(world.content_IF.ravel()), world.content_IF.shape[1]
    )
    return pa.table(
        {
            "item_id": ids.items,
            "category": _numbered("c", world.category_I),
            "price": np.exp(3.0 + 0.5 * world.price_z_I),
            "content": content,
        }
    )


def _users_table(world: World, ids: _Ids, rng: np.random.Generator) -> pa.Table:
    """The segment, and an age that tells about the same."""
    age_U = 18 + 4 * world.segment_U + rng.integers(0, 6, size=len(world.segment_U))
    return pa.table(
        {"user_id": ids.users, "segment": _numbered("s", world.segment_U), "age": age_U}
    )


def _spec(settings: SimulatorSettings) -> LogSpec:
    stages = (("exposure", "exposed"), ("click", "clicked"), ("conversion", "converted"))
    return LogSpec(
        name=settings.name,
        cascade=tuple(StageColumn(stage=stage, column=column) for stage, column in stages),
        features=Features(
            user=(
                UserFeature(name="user_id", type="categorical"),
                UserFeature(name="hour", type="categorical"),
                UserFeature(name="weekday", type="categorical"),
                UserFeature(
                    name="recent_items",
                    type="sequence",
                    vocabulary="item_id",
                    max_length=RECENT,
                ),
                UserFeature(name="segment", type="categorical", table="users"),
                UserFeature(name="age", type="numeric", table="users"),
            ),
            item=(
                ItemFeature(name="item_id", type="categorical"),
                ItemFeature(name="category", type="categorical"),
                ItemFeature(name="price", type="numeric"),
                ItemFeature(name="content", type="vector", dim=F),
            ),
        ),
        notes=f"simulated; settings: {settings.model_dump_json()}",
    )
