"""Shared by data sets published as one row an impression, without times and without page keys.

Decisions
- Order stands in for time: ``ts`` counts page views from 0 in the order of the files, and the last
  of several files is the test side (``test_from``).
- A page view's features are those of its first row.
- An item shown twice in a page view becomes one event, clicked or bought if either copy was.
- Item features come from impressions before ``item_features_until``: the first value of a category,
  the mean of a number. The default is the test side's beginning, or 80% of the page views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from training.datasets.raw_files import read_columns
from training.logs.spec import Features, LogSpec, StageColumn
from training.logs.writer import LogWriter

CASCADE = (
    StageColumn(stage="exposure", column="exposed"),
    StageColumn(stage="click", column="clicked"),
    StageColumn(stage="conversion", column="converted"),
)


def read_in_order(
    files: Sequence[Path], columns: Mapping[str, pl.DataType], layout: str
) -> pl.DataFrame:
    """All rows of the files, with the number of their file."""
    parts = [
        read_columns(path, columns, layout).with_columns(file=pl.lit(number))
        for number, path in enumerate(files)
    ]
    return pl.concat(parts)


def write_impressions(
    rows: pl.DataFrame,
    out: Path,
    name: str,
    features: Features,
    notes: str,
    item_features_until: int | None,
) -> list[str]:
    """Writes a log from rows with file, page, user_id, item_id, clicked, converted and features.

    ``page`` is equal within a page view of a file. Returns what was merged or decided on the way.
    """
    pages = rows.unique(["file", "page"], keep="first", maintain_order=True).with_columns(
        request_id=pl.format("{}.{}", "file", "page"), ts=pl.int_range(pl.len())
    )
    last_file = pages["file"].max()
    test_from = None if last_file == 0 else int(pages.filter(file=last_file)["ts"][0])
    until = next(
        at for at in (item_features_until, test_from, int(pages.height * 0.8)) if at is not None
    )
    keyed = rows.join(
        pages.select("file", "page", "request_id", "ts"),
        on=["file", "page"],
        maintain_order="left",
    )
    events = keyed.group_by("request_id", "item_id", maintain_order=True).agg(
        position=pl.lit(-1, pl.Int32).first(),
        exposed=pl.lit(value=True).first(),
        clicked=pl.col("clicked").any(),
        converted=pl.col("converted").any(),
    )
    user_columns = [f.name for f in features.user if f.name != "user_id"]
    spec = LogSpec(
        name=name,
        cascade=CASCADE,
        features=features,
        item_features_until=until,
        test_from=test_from,
        notes=notes,
    )
    with LogWriter(out, spec) as writer:
        writer.append("items", _items(keyed, features, until))
        writer.append("requests", pages.select("request_id", "user_id", "ts", *user_columns))
        writer.append("events", events)
    return [
        f"{rows.height} impressions in {pages.height} page views of {events['item_id'].n_unique()} "
        f"items; {rows.height - events.height} repeats within a page view merged",
        f"item features use page views before {until} (counted from 0)",
        *_varying(rows, user_columns),
    ]


def _items(keyed: pl.DataFrame, features: Features, until: int) -> pl.DataFrame:
    past = keyed.filter(pl.col("ts") < until)
    described = past.group_by("item_id").agg(
        pl.col(f.name).mean() if f.type == "numeric" else pl.col(f.name).first()
        for f in features.item
        if f.name != "item_id"
    )
    everything = keyed.select("item_id").unique(maintain_order=True)
    return everything.join(described, on="item_id", how="left", maintain_order="left")


def _varying(rows: pl.DataFrame, columns: list[str]) -> list[str]:
    """Columns said to belong to the page view that differ between its rows."""
    differs = rows.group_by("file", "page").agg(pl.col(columns).n_unique() > 1)
    counts = differs.select(pl.col(columns).sum()).row(0, named=True)
    return [
        f"'{column}' differs within {count} page views; the first row's value was taken"
        for column, count in counts.items()
        if count
    ]
