"""What a caller may rely on who sends a user id and leaves the rest to the feature store."""

import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from bundle.store import read_current
from service.api.schemas import FeatureOrigin
from service.features.known import Origin
from service.retrieval.users import RawUser, embed
from service.snapshots.snapshot import open_snapshot

USER = "u00003"
STORED = {"hour": 7, "age": 31.5, "recent_items": ["i0000004", "i0000009"]}
ITEMS = ["i0000001", "i0000005", "i0000007"]


def without(answer, *names):
    return {name: value for name, value in answer.items() if name not in names}


def test_a_stored_user_is_served_as_one_who_brings_the_same_features(client, keep, ask):
    keep(USER, **STORED)
    only_id, all_of_it = {"user_id": USER}, {"user_id": USER, **STORED}
    for path, rest in (("/retrieve", {}), ("/score", {"item_ids": ITEMS})):
        found = ask(client, path, user=only_id, **rest)
        brought = ask(client, path, user=all_of_it, **rest)
        assert (found["features"], brought["features"]) == ("stored", "inline")
        assert without(found, "features") == without(brought, "features")
    alone = ask(client, user=only_id)
    (found,) = ask(client, "/retrieve/batch", users=[only_id])["results"]
    assert found == without(alone, "run_id", "build_id", "catalogue_position")
    assert found["item_ids"] != ask(client, user={"user_id": "never seen"})["item_ids"]


def test_what_a_request_brings_wins_and_null_is_nothing_brought(client, keep, ask):
    keep(USER, **STORED)
    mixed = {"user_id": USER, "recent_items": ["i0000020"], "age": None}
    meant = {**STORED, **mixed, "age": STORED["age"]}
    found, brought = ask(client, user=mixed), ask(client, user=meant)
    assert found["item_ids"] == brought["item_ids"]
    assert found["scores"] == brought["scores"]


def test_numbers_and_their_text_are_the_same_user(client, keep, ask):
    keep("17", **STORED)
    assert ask(client, user={"user_id": 17})["features"] == "stored"


def test_an_unknown_user_gets_the_list_of_a_user_without_features_and_is_told_so(
    client, ask, release
):
    snapshot = open_snapshot(release.releases, read_current(release.releases))
    nobody, empty = embed(snapshot, [RawUser({"user_id": "never seen"}), RawUser({})])
    np.testing.assert_array_equal(nobody.vector_1M, empty.vector_1M)
    found, cold = ask(client, user={"user_id": "never seen"}), ask(client, user={})
    assert (found["features"], cold["features"]) == ("unknown", "inline")
    assert (found["item_ids"], found["scores"]) == (cold["item_ids"], cold["scores"])
    assert len(set(found["item_ids"])) == 10


def test_without_a_user_id_the_features_are_the_requests_own(client, keep, ask):
    keep("", **STORED)
    keep("True", **STORED)
    for user in ({}, {"user_id": ""}, {"user_id": None}, {"hour": 3}):
        assert ask(client, user=user)["features"] == "inline"
    response = client.post("/retrieve", json={"user": {"user_id": ["a"]}})
    assert response.json()["error"]["field"] == "user.user_id"


def test_users_of_a_batch_are_looked_up_in_one_round_trip(client, keep, ask, empty_redis):
    for number in range(20):
        keep(f"u{number:05d}", seen=[f"i{number:07d}"], age=20 + number)
    batch = [{"user_id": f"u{number:05d}"} for number in range(25)]
    ask(client, "/retrieve/batch", users=batch[:1])  # connected
    redis = empty_redis.client()
    before = redis.info("stats")["total_reads_processed"]
    results = ask(client, "/retrieve/batch", users=batch, exclude_seen=True)["results"]
    assert redis.info("stats")["total_reads_processed"] - before <= 2  # ours, and this look
    assert [found["features"] for found in results] == ["stored"] * 20 + ["unknown"] * 5
    assert [found["seen_excluded"] for found in results] == [1] * 20 + [0] * 5
    for user, found in zip(batch, results, strict=True):
        alone = ask(client, user=user, exclude_seen=True)
        assert found["item_ids"] == alone["item_ids"]
        np.testing.assert_allclose(found["scores"], alone["scores"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("feature", "text"),
    [
        ("age", "thirty"),
        ("age", '"30"'),
        ("age", "true"),
        ("age", "NaN"),
        ("age", "1e999"),
        ("age", "[30]"),
        ("age", ""),
        ("age", b"\xff\x00"),
        ("hour", "7.5"),
        ("hour", "{}"),
        ("recent_items", '"i0000004"'),
        ("recent_items", '["i0000004", 1.5]'),
        ("recent_items", "[" * 2000),
        ("recent_items", json.dumps(["i0000004"] * 30_000)),
    ],
)
def test_a_stored_value_that_the_tower_cannot_read_is_left_out_told_and_counted(
    client, reader, keep, ask, empty_redis, feature, text
):
    keep(USER, **STORED)
    empty_redis.client().hset(f"csmf:user:{USER}", feature, text)
    found = ask(client, user={"user_id": USER}, explain=True)
    rest = without(STORED, feature)
    brought = ask(reader, user={"user_id": USER, **rest})
    assert found["features"] == "unreadable"
    assert found["explanation"]["features"] == {
        "user_id": "request",
        **dict.fromkeys(rest, "stored"),
        feature: "unreadable",
    }
    assert (found["item_ids"], found["scores"]) == (brought["item_ids"], brought["scores"])
    metrics = client.get("/metrics").text
    assert f'csmf_features_unreadable_total{{feature="{feature}"}} 1.0' in metrics
    assert 'csmf_features_total{features="unreadable"}' in metrics


def test_a_key_that_holds_something_else_is_left_out(client, keep, ask, empty_redis):
    empty_redis.client().set(f"csmf:user:{USER}", "x")
    empty_redis.client().set(f"csmf:seen:{USER}", "x")
    found = ask(client, user={"user_id": USER}, exclude_seen=True)
    assert (found["features"], found["seen_excluded"]) == ("unreadable", None)
    assert found["item_ids"] == ask(client, user={"user_id": USER})["item_ids"]
    other = ask(client, user={"user_id": "u00004"})
    assert other["features"] == "unknown"


def test_a_wrong_value_of_the_request_is_refused_whatever_is_stored(client, keep):
    keep(USER, **STORED)
    wrong = {"user_id": USER, "age": "30"}
    refused = client.post("/retrieve", json={"user": wrong})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "user.age")
    refused = client.post("/retrieve/batch", json={"users": [{"user_id": USER}, wrong]})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "users.1.age")


def test_stored_nulls_and_unknown_categories_are_served_as_those_of_a_request(client, keep, ask):
    keep(USER, age=None, hour=99, recent_items=["gone", "i0000004"])
    found = ask(client, user={"user_id": USER}, explain=True)
    assert found["features"] == "stored"
    assert found["unknown"]["categories"] == {"hour": 1, "recent_items": 1}
    assert found["explanation"]["features"]["age"] == "missing"


def test_an_answer_times_the_look_up(client, keep):
    response = client.post("/retrieve", json={"user": {"user_id": USER}, "k": 1})
    timings = response.json()["timings_ms"]
    assert set(timings) == {"features", "queue", "encode", "tower", "search", "total"}
    assert timings["total"] >= timings["features"] > 0


def test_without_a_store_nothing_is_said_of_it(reader, ask):
    found = ask(reader, user={"user_id": USER}, explain=True)
    assert not {"features", "seen_excluded"} & found.keys()
    refused = reader.post("/retrieve", json={"user": {}, "exclude_seen": True})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "exclude_seen")
    assert "CSMF_FEATURES_URL" in refused.json()["error"]["expected"]


@pytest.mark.parametrize("user_id", ["\ud800", "a b\x00\n", "*", "ü" * 900, "{x}", -1, 2**70])
def test_any_user_id_is_looked_up_under_a_key_of_its_own(client, keep, ask, user_id):
    keep("?", **STORED)
    found = ask(client, user={"user_id": user_id}, exclude_seen=True)
    assert (found["features"], found["seen_excluded"]) == ("unknown", 0)


def test_the_page_lists_every_value_of_features_and_of_an_explanation():
    page = (Path(__file__).parents[3] / "docs" / "users.md").read_text()
    (table,) = re.findall(r"^\| `features` \| \|\n\|---\|---\|\n((?:\|.*\n)*)", page, re.MULTILINE)
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert listed == [*get_args(Origin), "unreadable"]
    for word in get_args(FeatureOrigin):
        assert f"`{word}`" in page
