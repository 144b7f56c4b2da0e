"""trivago: the session log of the RecSys Challenge 2019 (``train.csv``, CSV or parquet).

Decisions
- A page view is a ``clickout item`` action: lists are logged only there, so every view has one
  conversion and views that ended without a clickout are unseen.
- exposure: each item of ``impressions``; conversion: the clickout; click: the clickout, or an
  ``interaction item *`` with the item at an earlier step.
- ``--views session`` counts interactions and session items since the session began. The item then
  was often touched after the list appeared: every click but the clickout is also in
  ``session_items``. ``--views display`` starts a view at the last action that changed the list
  (search, filter, sort order, the clickout before): clicks are those since, inputs those until
  then, so neither contains the other. Use it to judge clicks.
- Item features come from page views before ``item_features_until`` only; nothing after a clickout
  is an input.

Use: ``csmf-log convert trivago --input train.csv --out DIR``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from training.datasets.raw_files import read_columns
from training.logs.errors import LogError
from training.logs.spec import Features, ItemFeature, LogSpec, StageColumn, UserFeature
from training.logs.writer import LogWriter

Views = Literal["session", "display"]

LAYOUT = "the RecSys Challenge 2019 session log"
COLUMNS: dict[str, pl.DataType] = {
    **dict.fromkeys(("user_id", "session_id", "action_type", "reference"), pl.String()),
    **dict.fromkeys(("timestamp", "step"), pl.Int64()),
    **dict.fromkeys(("platform", "city", "device"), pl.String()),
    **dict.fromkeys(("current_filters", "impressions", "prices"), pl.String()),
}
CLICKOUT = "clickout item"
CHANGES_LIST = (
    "search for destination",
    "search for poi",
    "search for item",
    "filter selection",
    "change of sort order",
    CLICKOUT,
)
SESSION = ("user_id", "session_id")
SESSION_ITEMS = 20


def convert_trivago(
    source: Path, out: Path, item_features_until: int | None = None, views: Views = "session"
) -> list[str]:
    """Writes the log; returns one line for each thing left out or decided on the way."""
    actions = read_columns(source, COLUMNS, LAYOUT)
    requests, notes = _page_views(source, actions, views)
    events, unmatched = _events(actions, requests)
    if item_features_until is None:
        times = requests["ts"].sort()
        item_features_until = int(times[int(len(times) * 0.8)])
    items = _items(requests, events, item_features_until)
    with LogWriter(out, _spec(item_features_until, views)) as writer:
        writer.append("items", items)
        writer.append("requests", _with_session_items(actions, requests))
        writer.append("events", events.drop("price"))
    if unpriced := events["price"].null_count():
        notes.append(f"{unpriced} prices are no numbers and count as missing")
    if unmatched:
        notes.append(f"{unmatched} page views kept without conversion: clickout not in the list")
    return [*notes, f"item features use page views before {item_features_until}"]


def _page_views(
    source: Path, actions: pl.DataFrame, views: Views
) -> tuple[pl.DataFrame, list[str]]:
    """One row a clickout; clicks follow step ``since``, inputs end with step ``known``."""
    clickouts = actions.filter(pl.col("action_type") == CLICKOUT)
    lists = pl.col("impressions", "prices").str.split("|").list.len()
    shown = clickouts.select(lists).select(pl.col("impressions") == pl.col("prices"))
    listed = clickouts.filter(shown.to_series().fill_null(value=False))
    if listed.is_empty():
        raise LogError(
            str(source),
            "impressions",
            None,
            "no clickout lists impressions and their prices",
            f"Give {LAYOUT}",
        )
    single = listed.unique([*SESSION, "step"], keep="first", maintain_order=True)
    notes = [
        f"{count} clickouts set aside: {reason}"
        for count, reason in (
            (clickouts.height - listed.height, "no impressions, or not as many prices"),
            (listed.height - single.height, "step repeated within the session"),
        )
        if count
    ]
    time = pl.from_epoch("timestamp", time_unit="s")
    requests = single.with_columns(
        request_id=pl.format("{}.{}.{}", *SESSION, "step"),
        ts=pl.col("timestamp") * 1000,
        hour=time.dt.hour(),
        weekday=time.dt.weekday() - 1,
        current_filters=pl.col("current_filters").str.split("|").fill_null([]),
    )
    if views == "session":
        return requests.with_columns(since=pl.lit(0), known=pl.col("step") - 1), notes
    starts = _display_steps(actions, requests)
    return requests.with_columns(since=starts, known=starts), notes


def _display_steps(actions: pl.DataFrame, requests: pl.DataFrame) -> pl.Series:
    """Step of the last action that changed the list before the clickout; 0 if none did."""
    changes = actions.filter(pl.col("action_type").is_in(CHANGES_LIST))
    earlier = (
        requests.select("request_id", *SESSION, "step")
        .join(changes.select(*SESSION, change="step"), on=SESSION)
        .filter(pl.col("change") < pl.col("step"))
        .group_by("request_id")
        .agg(pl.col("change").max())
    )
    matched = requests.join(earlier, on="request_id", how="left", maintain_order="left")
    return matched["change"].fill_null(0)


def _events(actions: pl.DataFrame, requests: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Events with the price shown, and the number of views whose clickout was not listed."""
    exposures = (
        requests.select(
            "request_id",
            *SESSION,
            "step",
            "since",
            "reference",
            item_id=pl.col("impressions").str.split("|"),
            price=pl.col("prices").str.split("|"),
        )
        .with_columns(position=pl.int_ranges(0, pl.col("item_id").list.len(), dtype=pl.Int32))
        .explode("item_id", "price", "position")
        .with_columns(pl.col("price").cast(pl.Float64, strict=False))
        .unique(["request_id", "item_id"], keep="first", maintain_order=True)
    )
    touched = (
        exposures.select("request_id", "item_id", *SESSION, "step", "since")
        .join(_item_actions(actions, ("interaction item",)), on=[*SESSION, "item_id"])
        .filter(pl.col("at").is_between("since", "step", closed="right"))
        .select("request_id", "item_id", touched=pl.lit(value=True))
        .unique()
    )
    converted = pl.col("item_id") == pl.col("reference")
    events = exposures.join(
        touched, on=["request_id", "item_id"], how="left", maintain_order="left"
    ).select(
        "request_id",
        "item_id",
        "position",
        exposed=pl.lit(value=True),
        clicked=pl.col("touched").fill_null(value=False) | converted,
        converted=converted,
        price="price",
    )
    return events, requests.height - int(events["converted"].sum())


def _item_actions(actions: pl.DataFrame, kinds: tuple[str, ...]) -> pl.DataFrame:
    """Steps at which a session touched an item."""
    chosen = pl.any_horizontal(pl.col("action_type").str.starts_with(kind) for kind in kinds)
    return actions.filter(chosen & pl.col("reference").str.contains(r"^\d+$")).select(
        *SESSION, item_id="reference", at="step"
    )


def _with_session_items(actions: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """The requests table; session items are those touched before the view, newest last."""
    kinds = ("interaction item", "search for item", CLICKOUT)
    earlier = (
        requests.select("request_id", *SESSION, "known")
        .join(_item_actions(actions, kinds), on=SESSION)
        .filter(pl.col("at") <= pl.col("known"))
        .group_by("request_id", "item_id")
        .agg(pl.col("at").max())
        .sort("request_id", "at")
        .group_by("request_id", maintain_order=True)
        .agg(session_items=pl.col("item_id").tail(SESSION_ITEMS))
    )
    columns = ["request_id", "user_id", "ts", *(feature.name for feature in USER_FEATURES)]
    return (
        requests.join(earlier, on="request_id", how="left", maintain_order="left")
        .with_columns(pl.col("session_items").fill_null([]))
        .sort("ts", maintain_order=True)
        .select(columns)
    )


def _items(requests: pl.DataFrame, events: pl.DataFrame, until: int) -> pl.DataFrame:
    """Every item ever listed; the features know page views before ``until`` only."""
    past = events.join(
        requests.filter(pl.col("ts") < until).select("request_id", "city"), on="request_id"
    ).with_columns(rank=pl.col("price").rank("average").over("request_id"))
    cities = (
        past.group_by("item_id", "city")
        .len()
        .sort(["len", "city"], descending=[True, False])
        .group_by("item_id")
        .agg(main_city=pl.col("city").first())
    )
    measured = past.group_by("item_id").agg(
        log_impressions=pl.len().log1p(),
        log_popularity=pl.col("clicked").sum().log1p(),
        mean_price=pl.col("price").mean(),
        mean_price_rank=pl.col("rank").mean(),
    )
    return (
        events.select("item_id")
        .unique()
        .sort("item_id")
        .join(measured, on="item_id", how="left", maintain_order="left")
        .join(cities, on="item_id", how="left", maintain_order="left")
    )


USER_FEATURES = (
    UserFeature(name="city", type="categorical"),
    UserFeature(name="platform", type="categorical"),
    UserFeature(name="device", type="categorical"),
    UserFeature(name="hour", type="categorical"),
    UserFeature(name="weekday", type="categorical"),
    UserFeature(name="current_filters", type="sequence", max_length=10),
    UserFeature(
        name="session_items", type="sequence", vocabulary="item_id", max_length=SESSION_ITEMS
    ),
)
ITEM_FEATURES = (
    ItemFeature(name="item_id", type="categorical"),
    ItemFeature(name="main_city", type="categorical", vocabulary="city"),
    ItemFeature(name="log_impressions", type="numeric"),
    ItemFeature(name="log_popularity", type="numeric"),
    ItemFeature(name="mean_price", type="numeric"),
    ItemFeature(name="mean_price_rank", type="numeric"),
)


def _spec(until: int, views: Views) -> LogSpec:
    return LogSpec(
        name="trivago",
        cascade=(
            StageColumn(stage="exposure", column="exposed"),
            StageColumn(stage="click", column="clicked"),
            StageColumn(stage="conversion", column="converted"),
        ),
        features=Features(user=USER_FEATURES, item=ITEM_FEATURES),
        item_features_until=until,
        notes=f"RecSys Challenge 2019 (trivago), converted with --views {views}",
    )
