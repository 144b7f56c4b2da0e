"""AliExpress search log (Tianchi data set 74690), in the layout most papers share: one CSV a side
with ``search_id``, ``categorical_1..16``, ``numerical_1..63``, ``click``, ``conversion``.

What is known: the owner publishes user-and-query features and item features as separate files, one
row a search page and one row an impression, split by time. The shared layout joins them in that
order and renames every column, so the sides are told by behaviour: ``categorical_1..9`` and
``numerical_1..23`` are constant within a page, the others vary. Their meanings are not published.

Decisions
- There is no user key: every page is its own user, and no user id is an input.
- There is no item key. Items are groups of impressions that share ``--item-key`` columns, by
  default the item side's categories ``categorical_10..16``. That is coarse: recall over such groups
  says that the path works, not how well products would be found.
- Every impression is an exposure; the paper's two-stage setting is this log with the exposure entry
  taken out of the cascade in log.yaml.

Use: ``csmf-log convert aliexpress --input train.csv test.csv --out DIR``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from training.datasets.impressions import read_in_order, write_impressions
from training.logs.errors import LogError
from training.logs.spec import Features, ItemFeature, UserFeature

LAYOUT = "the AliExpress layout (search_id, categorical_1…16, numerical_1…63, click, conversion)"
USER_CATEGORIES = tuple(f"categorical_{n}" for n in range(1, 10))
USER_NUMBERS = tuple(f"numerical_{n}" for n in range(1, 24))
ITEM_CATEGORIES = tuple(f"categorical_{n}" for n in range(10, 17))
ITEM_NUMBERS = tuple(f"numerical_{n}" for n in range(24, 64))
COLUMNS: dict[str, pl.DataType] = {
    "search_id": pl.String(),
    **dict.fromkeys((*USER_CATEGORIES, *ITEM_CATEGORIES), pl.String()),
    **dict.fromkeys((*USER_NUMBERS, *ITEM_NUMBERS), pl.Float64()),
    **dict.fromkeys(("click", "conversion"), pl.Int64()),
}
FEATURES = Features(
    user=(
        *(UserFeature(name=name, type="categorical") for name in USER_CATEGORIES),
        *(UserFeature(name=name, type="numeric") for name in USER_NUMBERS),
    ),
    item=(
        ItemFeature(name="item_id", type="categorical"),
        *(ItemFeature(name=name, type="categorical") for name in ITEM_CATEGORIES),
        *(ItemFeature(name=name, type="numeric") for name in ITEM_NUMBERS),
    ),
)


def convert_aliexpress(
    files: Sequence[Path],
    out: Path,
    item_features_until: int | None = None,
    item_key: Sequence[str] = ITEM_CATEGORIES,
) -> list[str]:
    """Writes the log of the files, in time order; returns what was merged or decided."""
    unknown = [name for name in item_key if name not in (*ITEM_CATEGORIES, *ITEM_NUMBERS)]
    if unknown:
        raise LogError(
            str(files[0]),
            unknown[0],
            None,
            "an item key is made of item-side columns",
            "Choose among categorical_10…16 and numerical_24…63",
        )
    rows = read_in_order(files, COLUMNS, LAYOUT).with_columns(
        page="search_id",
        user_id=pl.format("{}.{}", "file", "search_id"),
        item_id=pl.concat_str(pl.col(list(item_key)).fill_null(""), separator="-"),
        clicked=pl.col("click") > 0,
        converted=pl.col("conversion") > 0,
    )
    notes = f"AliExpress search log; an item is a group equal in {', '.join(item_key)}"
    return write_impressions(rows, out, "aliexpress", FEATURES, notes, item_features_until)
