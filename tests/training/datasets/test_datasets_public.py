"""Beibei, AliExpress and Ali-CCP, on files of their layout written here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from training.datasets.ali_ccp import COLUMNS as ALI_CCP
from training.datasets.ali_ccp import convert_ali_ccp
from training.datasets.aliexpress import COLUMNS as ALIEXPRESS
from training.datasets.aliexpress import USER_CATEGORIES, USER_NUMBERS, convert_aliexpress
from training.datasets.beibei import convert_beibei
from training.logs.errors import LogError
from training.logs.reader import read_log
from training.logs.split import split_log, split_time

ACTS = pl.DataFrame(
    [
        *((0, 5, "cart"), (0, 6, "cart"), (0, 5, "buy_train"), (0, 6, "buy_test")),
        *((1, 5, "cart"), (1, 5, "buy_train"), (1, 7, "buy_test")),
    ],
    schema=["u", "i", "l"],
    orient="row",
)


def _published_beibei(directory: Path) -> Path:
    directory.mkdir()
    for act, name in (
        ("cart", "cart.csv"),
        ("buy_train", "buy.train.txt"),
        ("buy_test", "buy.test.txt"),
    ):
        rows = ACTS.filter(l=act).select(uid="u", sid="i")
        rows.write_csv(directory / name, separator="\t")
    return directory


@pytest.fixture(params=["published files", "one table"])
def beibei(request, tmp_path) -> Path:
    if request.param == "published files":
        return _published_beibei(tmp_path / "Beibei")
    ACTS.write_parquet(tmp_path / "acts.parquet")
    return tmp_path / "acts.parquet"


def test_beibei_splits_where_it_was_published_to_split(beibei, tmp_path):
    convert_beibei(beibei, tmp_path / "log")
    log = read_log(tmp_path / "log")
    train, test = split_log(log, split_time(log, 0.2))

    assert log.spec.stages == ("click", "conversion")
    assert sorted(train.events.select("request_id", "item_id", "converted").rows()) == [
        ("0.train", "5", True),
        ("1.train", "5", True),
    ]
    assert test.events.rows() == [
        ("0.test", "6", -1, True, True),
        ("1.test", "7", -1, False, True),
    ]


def test_a_beibei_purchase_without_a_cart_is_counted(beibei, tmp_path):
    convert_beibei(beibei, tmp_path / "log")

    assert read_log(tmp_path / "log").report.count("conversion_without_click") == 1


def test_beibei_carts_of_test_purchases_can_be_training_data(beibei, tmp_path):
    convert_beibei(beibei, tmp_path / "log", test_carts="train")
    events = read_log(tmp_path / "log").events

    assert events.filter(request_id="0.train")["item_id"].sort().to_list() == ["5", "6"]
    assert events.filter(request_id="0.test")["clicked"].to_list() == [False]


def test_an_act_beibei_does_not_know_is_refused(tmp_path):
    source = tmp_path / "acts.parquet"
    pl.concat([ACTS, ACTS.head(1).with_columns(l=pl.lit("view"))]).write_parquet(source)
    with pytest.raises(LogError, match="column 'l', row 7: 'view'"):
        convert_beibei(source, tmp_path / "log")


def _aliexpress(path: Path, pages: list[int], seed: int) -> Path:
    """Random impressions; user-side columns follow the page, as in the published files."""
    rng = np.random.default_rng(seed)
    rows = []
    for page, impressions in enumerate(pages):
        user = dict.fromkeys(USER_CATEGORIES, page % 3) | dict.fromkeys(USER_NUMBERS, page / 9)
        for _ in range(impressions):
            item = {name: int(rng.integers(4)) for name in ALIEXPRESS if name not in user}
            click = int(rng.random() < 0.5)
            rows.append(
                {**item, **user, "search_id": page, "click": click, "conversion": click & page & 1}
            )
    pl.DataFrame(rows).select(list(ALIEXPRESS)).write_csv(path)
    return path


def test_aliexpress_pages_are_requests_and_the_last_file_is_the_test_side(tmp_path):
    files = [
        _aliexpress(tmp_path / "train.csv", [3, 4, 5], seed=1),
        _aliexpress(tmp_path / "test.csv", [6, 7], seed=2),
    ]
    convert_aliexpress(files, tmp_path / "log")
    log = read_log(tmp_path / "log")
    train, test = split_log(log, split_time(log, 0.2))

    assert train.requests["request_id"].to_list() == ["0.0", "0.1", "0.2"]
    assert test.requests["request_id"].to_list() == ["1.0", "1.1"]
    assert log.spec.item_features_until == 3
    assert log.report.findings == ()


def test_aliexpress_items_are_groups_that_share_the_key(tmp_path):
    source = _aliexpress(tmp_path / "train.csv", [20, 20], seed=1)
    key = ["categorical_10", "categorical_11"]
    notes = convert_aliexpress([source], tmp_path / "log", item_key=key)
    log = read_log(tmp_path / "log")

    assert log.items.height <= 16
    assert log.items["item_id"].str.contains(r"^\d-\d$").all()
    assert log.events.height + int(notes[0].split("; ")[1].split()[0]) == 40


def test_an_aliexpress_item_seen_twice_on_a_page_is_clicked_if_either_was(tmp_path):
    source = _aliexpress(tmp_path / "train.csv", [20, 20], seed=1)
    convert_aliexpress([source], tmp_path / "log", item_key=["categorical_10"])
    raw = pl.read_csv(source).group_by("search_id", "categorical_10").agg(pl.col("click").max())

    assert read_log(tmp_path / "log").events["clicked"].sum() == raw["click"].sum()


def test_aliexpress_user_columns_that_vary_within_a_page_are_told(tmp_path):
    source = _aliexpress(tmp_path / "train.csv", [3, 3], seed=1)
    frame = pl.read_csv(source)
    frame.with_columns(categorical_3=pl.int_range(6)).write_csv(source)
    notes = convert_aliexpress([source], tmp_path / "log")

    assert any("'categorical_3' differs within 2 page views" in note for note in notes)


def test_an_item_key_of_the_user_side_is_refused(tmp_path):
    source = _aliexpress(tmp_path / "train.csv", [3], seed=1)
    with pytest.raises(LogError, match="categorical_1'"):
        convert_aliexpress([source], tmp_path / "log", item_key=["categorical_1"])


def _ali_ccp(path: Path, users_and_items: list[tuple[int, int]]) -> Path:
    rows = [
        dict.fromkeys(ALI_CCP, 1)
        | {"101": user, "205": item, "206": number, "click": number % 2, "purchase": 0}
        for number, (user, item) in enumerate(users_and_items)
    ]
    pl.DataFrame(rows).write_csv(path)
    return path


def test_ali_ccp_runs_of_one_user_are_requests(tmp_path):
    source = _ali_ccp(tmp_path / "train.csv", [(1, 7), (1, 8), (2, 7), (1, 9)])
    convert_ali_ccp([source], tmp_path / "log")
    log = read_log(tmp_path / "log")

    assert log.requests["user_id"].to_list() == ["1", "2", "1"]
    assert log.events["item_id"].to_list() == ["7", "8", "7", "9"]


def test_ali_ccp_rare_items_are_told_apart_by_their_other_columns(tmp_path):
    source = _ali_ccp(tmp_path / "train.csv", [(1, 0), (1, 0), (1, 8)])
    convert_ali_ccp([source], tmp_path / "log")

    assert read_log(tmp_path / "log").events["item_id"].to_list() == [
        "rare-0-1-1-1",
        "rare-1-1-1-1",
        "8",
    ]


def test_ali_ccp_leaves_out_what_crosses_user_and_item_and_says_so(tmp_path):
    source = _ali_ccp(tmp_path / "train.csv", [(1, 7), (2, 8)])
    notes = convert_ali_ccp([source], tmp_path / "log")
    spec = read_log(tmp_path / "log").spec

    assert any("508" in note for note in notes)
    assert not any("508" in f.name for f in (*spec.features.user, *spec.features.item))
