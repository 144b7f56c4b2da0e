"""Ali-CCP (Tianchi data set 408), in the processed one-row-an-impression layout that torch-rechub
distributes: ``click``, ``purchase``, the field numbers, and ``D…`` weights.

What is known from the owner's description: 101 is the user, 121 to 129 the profile, 109_14, 110_14,
127_14 and 150_14 the user's past categories, shops, brands and intentions (``D…`` their weights);
205 is the item, 206 its category, 207 its shop, 210 its intention node, 216 its brand; 508, 509,
702 and 853 cross the user's past with the item; 301 is the position in the app. The processed files
recode the values and put rare ones under 0.

Decisions
- Crosses (508, 509, 702, 853 and their weights) need user and item together: two towers cannot use
  them, so they are left out.
- An item is its recoded 205; where that is 0 (rare), the combination of 206, 207, 210 and 216.
- There is no page key: consecutive rows equal in user and context form one page view.

Use: ``csmf-log convert ali-ccp --input train.csv test.csv --out DIR``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from training.datasets.impressions import read_in_order, write_impressions
from training.logs.spec import Features, ItemFeature, UserFeature

LAYOUT = "the processed Ali-CCP layout (click, purchase, 101, 121, …, D853)"
USER_CATEGORIES = (
    *("121", "122", "124", "125", "126", "127", "128", "129", "301"),
    *("109_14", "110_14", "127_14", "150_14"),
)
USER_NUMBERS = ("D109_14", "D110_14", "D127_14", "D150_14")
ITEM_CATEGORIES = ("206", "207", "210", "216")
CROSSES = ("508", "509", "702", "853")
COLUMNS: dict[str, pl.DataType] = {
    **dict.fromkeys(("101", "205", *USER_CATEGORIES, *ITEM_CATEGORIES), pl.String()),
    **dict.fromkeys(USER_NUMBERS, pl.Float64()),
    **dict.fromkeys(("click", "purchase"), pl.Int64()),
}


def _name(field: str) -> str:
    """A feature's name starts with a letter."""
    return field if field.startswith("D") else f"f{field}"


FEATURES = Features(
    user=(
        UserFeature(name="user_id", type="categorical"),
        *(UserFeature(name=_name(field), type="categorical") for field in USER_CATEGORIES),
        *(UserFeature(name=_name(field), type="numeric") for field in USER_NUMBERS),
    ),
    item=(
        ItemFeature(name="item_id", type="categorical"),
        *(ItemFeature(name=_name(field), type="categorical") for field in ITEM_CATEGORIES),
    ),
)


def convert_ali_ccp(
    files: Sequence[Path], out: Path, item_features_until: int | None = None
) -> list[str]:
    """Writes the log of the files, in time order; returns what was merged or decided."""
    rare = pl.concat_str(pl.lit("rare"), *ITEM_CATEGORIES, separator="-")
    rows = (
        read_in_order(files, COLUMNS, LAYOUT)
        .with_columns(
            page=pl.struct("101", *USER_CATEGORIES, *USER_NUMBERS).rle_id(),
            user_id="101",
            item_id=pl.when(pl.col("205") == "0").then(rare).otherwise("205"),
            clicked=pl.col("click") > 0,
            converted=pl.col("purchase") > 0,
        )
        .rename({field: _name(field) for field in (*USER_CATEGORIES, *ITEM_CATEGORIES)})
    )
    notes = f"Ali-CCP; fields {', '.join(CROSSES)} (user × item) left out"
    kept = write_impressions(rows, out, "ali-ccp", FEATURES, notes, item_features_until)
    return [
        *kept,
        f"fields {', '.join(CROSSES)} and their weights left out: they cross user × item",
    ]
