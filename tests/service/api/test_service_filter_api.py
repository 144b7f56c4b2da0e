"""What a caller of /retrieve may rely on when it filters."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="session")
def catalogue(release):
    """Rows of the catalogue in the order of its ids; `in_stock` as the index has it."""
    rows = pq.read_table(release.log / "items.parquet").sort_by("item_id").to_pylist()
    stock = [None, *(number % 3 != 0 for number in range(1, len(rows)))]
    return [{**row, "in_stock": flag} for row, flag in zip(rows, stock, strict=True)]


def ask(client, user, conditions, **fields):
    content = json.dumps({"user": user, "filter": conditions, **fields})
    return client.post("/retrieve", content=content, headers=JSON)


def test_a_filtered_list_holds_the_items_that_meet_all_conditions_best_first(
    reader, users, catalogue
):
    conditions = [
        {"attribute": "in_stock", "equals": True},
        {"attribute": "brand", "not_in": ["brand1", "brand2", "no such brand"]},
        {"attribute": "price", "min": 10, "max": 40.5},
    ]
    meeting = {
        row["item_id"]
        for row in catalogue
        if row["in_stock"]
        and row["brand"] not in ("brand1", "brand2")
        and 10 <= row["price"] <= 40.5
    }
    found = ask(reader, users[0], conditions, k=300).json()
    assert meeting == set(found["item_ids"])
    assert (np.diff(found["scores"]) <= 0).all()
    every = ask(reader, users[0], [], k=300).json()["item_ids"]
    assert found["item_ids"] == [item_id for item_id in every if item_id in meeting]


def test_an_excluded_item_stays_away_from_a_filtered_list(reader, users, catalogue):
    brand = {"attribute": "brand", "in": ["brand3", "brand4"]}
    ids = ask(reader, users[0], [brand]).json()["item_ids"]
    exclude = [*ids[:3], *(row["item_id"] for row in catalogue if row["brand"] == "brand5")]
    assert ask(reader, users[0], [brand], exclude=exclude).json()["item_ids"] == ids[3:]


def test_a_filter_that_nothing_meets_gives_an_empty_list(reader, users):
    nobody = {"attribute": "brand", "equals": "nobody's"}
    assert ask(reader, users[0], [nobody]).json()["item_ids"] == []


@pytest.mark.parametrize(
    ("condition", "field"),
    [
        ({"attribute": "colour", "equals": "red"}, "filter.0.attribute"),
        ({"attribute": "\ud800", "equals": "red"}, "filter.0.attribute"),
        ({"attribute": "price"}, "filter.0"),
        ({"attribute": "price", "equals": None}, "filter.0"),
        ({"attribute": "price", "equals": "10"}, "filter.0.equals"),
        ({"attribute": "price", "in": [1, "2"]}, "filter.0.in"),
        ({"attribute": "price", "equals": 10**400}, "filter.0.equals"),
        ({"attribute": "brand", "max": 3}, "filter.0.max"),
        ({"attribute": "in_stock", "not_in": [0]}, "filter.0.not_in"),
        ({"attribute": "brand", "in": ["a"] * 200}, "filter"),
    ],
)
def test_a_condition_that_cannot_be_met_or_missed_is_refused_by_its_field(
    reader, users, condition, field
):
    response = ask(reader, users[0], [condition])
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["field"]) == (422, "invalid_value", field)
    assert error["expected"]


@pytest.mark.parametrize(
    "condition",
    [
        {},
        [],
        {"attribute": "price", "equals": [1]},
        {"attribute": "price", "in": 1},
        {"attribute": "price", "min": "1"},
        {"attribute": "price", "min": 10**400},
        {"attribute": "price", "max": float("nan")},
        {"attribute": "price", "exactly": 1},
        {"attribute": "price", "least": 1},
    ],
)
def test_a_condition_of_another_shape_is_refused(reader, users, condition):
    response = ask(reader, users[0], [condition])
    assert response.status_code == 422
    assert response.json()["error"]["field"].startswith("filter.0")


def test_an_unknown_attribute_is_told_those_there_are(reader, users):
    error = ask(reader, users[0], [{"attribute": "colour", "equals": "red"}]).json()["error"]
    assert error["expected"] == "one of brand, in_stock, price"


def test_a_number_is_no_flag_also_after_the_equal_flag_was_asked_for(reader, users):
    assert ask(reader, users[0], [{"attribute": "in_stock", "equals": True}]).status_code == 200
    assert ask(reader, users[0], [{"attribute": "in_stock", "equals": 1}]).status_code == 422


def test_the_size_of_a_filter_follows_its_setting(open_client, users):
    client = open_client(max_filter=3)
    price = {"attribute": "price", "min": 1}
    assert ask(client, users[0], [price] * 3).status_code == 200
    error = ask(client, users[0], [price] * 4).json()["error"]
    assert (error["field"], error["value"]) == ("filter", "4 entries")
