"""Beibei carts and purchases: two stages, click = cart and conversion = buy, ids only.

Inputs: the directory with ``cart.csv``, ``buy.train.txt`` and ``buy.test.txt`` that EHCF publishes
(tab-separated, ``uid`` and ``sid``), or one table with columns u, i and l (cart, buy_train,
buy_test).

Decisions
- There are no exposures and no times. A user's page view is what the user did before the test
  purchase, at ``ts`` 0, 1, …; the test purchase is a second one, after all of those. ``test_from``
  lies between, so the split is the published one.
- A pair of user and item is one event, where it ended: the cart of a test purchase belongs to the
  test side. (Most papers train on it; ``--test-carts train`` does.) 38% of the test purchases have
  no cart: describe counts them as conversions without click.

Use: ``csmf-log convert beibei --input DIR --out DIR``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from training.datasets.raw_files import read_columns
from training.logs.errors import LogError
from training.logs.spec import Features, ItemFeature, LogSpec, StageColumn, UserFeature
from training.logs.writer import LogWriter

TestCarts = Literal["test", "train"]
FILES = {"cart": "cart.csv", "buy_train": "buy.train.txt", "buy_test": "buy.test.txt"}
LAYOUT = "the Beibei layout (uid, sid by tabs, or u, i, l)"


def convert_beibei(source: Path, out: Path, test_carts: TestCarts = "test") -> list[str]:
    """Writes the log; returns one line for each thing left out or decided on the way."""
    acts = _read(source)
    single = acts.unique(maintain_order=True)
    test = single.filter(l="buy_test").select("u", "i", tested=pl.lit(value=True))
    marked = single.join(test, on=["u", "i"], how="left", maintain_order="left").with_columns(
        late=pl.col("tested").fill_null(value=False)
        & ((pl.col("l") == "buy_test") | pl.lit(test_carts == "test"))
    )
    users = single.select("u").unique().sort(pl.col("u").cast(pl.Int64, strict=False), "u")
    requests = _requests(users, marked)
    events = marked.group_by("u", "late", "i", maintain_order=True).agg(
        clicked=(pl.col("l") == "cart").any(), converted=(pl.col("l") != "cart").any()
    )
    with LogWriter(out, _spec(users.height)) as writer:
        writer.append("items", events.select(item_id="i").unique().sort("item_id"))
        writer.append("requests", requests.select("request_id", "user_id", "ts"))
        writer.append(
            "events",
            events.select(
                request_id=_request_id(),
                item_id="i",
                position=pl.lit(-1, pl.Int32),
                clicked="clicked",
                converted="converted",
            ),
        )
    repeats = acts.height - single.height
    return [f"{repeats} repeated acts merged", f"{users.height} users; test from ts {users.height}"]


def _requests(users: pl.DataFrame, marked: pl.DataFrame) -> pl.DataFrame:
    order = users.with_row_index("order")
    pages = marked.select("u", "late").unique().join(order, on="u")
    ts = pl.col("order").cast(pl.Int64) + pl.col("late") * users.height
    return pages.select(request_id=_request_id(), user_id="u", ts=ts).sort("ts")


def _request_id() -> pl.Expr:
    side = pl.when("late").then(pl.lit("test")).otherwise(pl.lit("train"))
    return pl.format("{}.{}", "u", side)


def _read(source: Path) -> pl.DataFrame:
    """Columns u, i, l as text."""
    text = pl.String()
    if not source.is_dir():
        acts = read_columns(source, dict.fromkeys(("u", "i", "l"), text), LAYOUT)
        bad = (~acts["l"].is_in(list(FILES))).fill_null(value=True).arg_true()
        if len(bad):
            raise LogError(
                str(source),
                "l",
                bad[0],
                f"'{acts['l'][bad[0]]}' is not an act",
                f"Expected one of {', '.join(FILES)}",
            )
        return acts
    parts = [
        read_columns(source / name, {"uid": text, "sid": text}, LAYOUT, separator="\t").select(
            u="uid", i="sid", l=pl.lit(act)
        )
        for act, name in FILES.items()
    ]
    return pl.concat(parts)


def _spec(test_from: int) -> LogSpec:
    return LogSpec(
        name="beibei",
        cascade=(
            StageColumn(stage="click", column="clicked"),
            StageColumn(stage="conversion", column="converted"),
        ),
        features=Features(
            user=(UserFeature(name="user_id", type="categorical"),),
            item=(ItemFeature(name="item_id", type="categorical"),),
        ),
        test_from=test_from,
        notes="Beibei; click = cart, conversion = buy; ts is an order, not a time",
    )
