"""Variants and schedules over HTTP: what operators change, and what /retrieve then answers."""

import time
from datetime import UTC, datetime, timedelta

import pytest

OWN = {"exposure": 1.0, "click": 1.0, "conversion": 1.0}
BOLD = {"exposure": 0.0, "click": 1.0, "conversion": 0.0}
SALE = {"exposure": 0.0, "click": 0.0, "conversion": 1.0}
SIGNED = {"author": "ana", "reason": "try it"}
USERS = [f"u{number:05d}" for number in range(60)]


@pytest.fixture
def client(open_client):
    """A service whose scenario `feed` has its own weights, as version 1."""
    client = open_client()
    assert put(client, "weights", weights=OWN).status_code == 200
    return client


def put(client, path, **body):
    return client.put(f"/scenarios/feed/{path}", json={**SIGNED, **body})


def post(client, path, **body):
    return client.post(f"/scenarios/feed/{path}", json={**SIGNED, **body})


def retrieve(client, user_id="u00001", **fields):
    body = {"scenario": "feed", "user": {"user_id": user_id} if user_id else {}, "k": 5, **fields}
    answer = client.post("/retrieve", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def in_seconds(seconds):
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_a_variants_users_get_the_list_of_its_weights_and_everybody_else_the_scenarios(client):
    put(client, "variants/bold", share=0.5, weights=BOLD)
    answers = {user: retrieve(client, user) for user in USERS}
    assert {answer["variant"] for answer in answers.values()} == {None, "bold"}
    for user, answer in answers.items():
        weights = BOLD if answer["variant"] else OWN
        assert answer["item_ids"] == retrieve(client, user, weights=weights)["item_ids"]
        assert answer["weights_version"] == 2


def test_the_answer_speaks_of_variants_and_schedules_only_where_there_are_any(client):
    assert not {"variant", "scheduled"} & retrieve(client).keys()
    put(client, "variants/bold", share=1, weights=BOLD)
    assert retrieve(client)["variant"] == "bold"
    assert retrieve(client, None)["variant"] is None
    put(client, "schedule", weights=SALE, until=None)
    assert retrieve(client)["scheduled"] is False
    assert retrieve(client, None)["scheduled"] is True
    own = retrieve(client, weights=OWN)
    assert own["weights_version"] is None
    assert not {"variant", "scheduled"} & own.keys()


def test_lists_are_counted_by_whose_weights_served(client):
    put(client, "variants/bold", share=1, weights=BOLD)
    put(client, "schedule", weights=SALE, until=None)
    for _ in range(2):
        retrieve(client)
    retrieve(client, None)
    retrieve(client, weights=OWN)
    post(client, "schedule/cancel")
    retrieve(client, None)
    counted = {"variant:bold": 2.0, "schedule": 1.0, "request": 1.0, "own": 1.0}
    page = client.get("/metrics").text
    for whose, count in counted.items():
        assert f'csmf_lists_total{{scenario="feed",weights="{whose}"}} {count}' in page


def test_a_change_shows_shares_weights_and_scales_of_variants(client):
    change = put(client, "variants/bold", share=0.0123, weights=BOLD).json()
    assert change["previous"]["variants"] == {}
    scales = {"exposure": 1.0, "click": 1.0, "conversion": 0.0}
    assert change["current"]["variants"] == {
        "bold": {"share": 0.0123, "weights": BOLD, "scales": scales}
    }
    assert client.get("/scenarios/feed/weights").json() == change["current"]
    assert put(client, "variants/bold", share=0.5).json()["current"]["version"] == 3
    (newest, *_) = client.get("/scenarios/feed/weights/history").json()["records"]
    assert sum(end - start for start, end in newest["variants"]["bold"]["slots"]) == 5000
    assert "schedule" not in newest


def test_a_variant_that_ends_leaves_its_users_to_the_scenario_and_a_rollback_takes_them_back(
    client,
):
    put(client, "variants/bold", share=0.5, weights=BOLD)
    before = {user: retrieve(client, user)["variant"] for user in USERS}
    assert post(client, "variants/bold/end").json()["current"]["variants"] == {}
    assert "variant" not in retrieve(client)
    post(client, "weights/rollback", to_version=2)
    assert {user: retrieve(client, user)["variant"] for user in USERS} == before


def test_a_promoted_variant_serves_everybody(client):
    put(client, "variants/bold", share=0.1, weights=BOLD)
    change = post(client, "variants/bold/promote").json()
    assert (change["current"]["weights"], change["current"]["variants"]) == (BOLD, {})


def test_a_schedule_begins_and_ends_by_itself(client):
    planned = put(
        client, "schedule", weights=SALE, **{"from": in_seconds(0.5)}, until=in_seconds(1.2)
    ).json()["current"]["schedule"]
    assert (planned["state"], planned["weights"]) == ("planned", SALE)
    seen = [retrieve(client)]
    while len(seen) < 300 and time.sleep(0.01) is None:
        seen.append(retrieve(client))
        if not seen[-1]["scheduled"] and seen[-2]["scheduled"]:
            break
    states = [answer["scheduled"] for answer in seen]
    assert (states[0], states[-1]) == (False, False)
    assert states == [*sorted(states[:-1]), False]  # off, on, off
    assert any(states)
    assert {answer["weights_version"] for answer in seen} == {2}
    assert seen[-1]["item_ids"] == retrieve(client, weights=OWN)["item_ids"]
    assert client.get("/scenarios/feed/weights").json()["schedule"]["state"] == "ended"


def test_a_schedule_is_in_force_after_a_restart_as_before(client, open_client):
    put(client, "schedule", weights=SALE, until=in_seconds(3600))
    assert retrieve(client)["scheduled"] is True
    assert retrieve(open_client())["scheduled"] is True


def test_a_cancelled_schedule_is_gone_at_once(client):
    put(client, "schedule", weights=SALE, until=None)
    assert post(client, "schedule/cancel").json()["current"]["schedule"] is None
    assert "scheduled" not in retrieve(client)
    refused = post(client, "schedule/cancel")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "no_schedule")


def test_times_may_come_in_any_zone_and_are_kept_in_utc(client):
    schedule = {"weights": SALE, "from": "2126-12-24T20:00:00+02:00", "until": None}
    shown = put(client, "schedule", **schedule).json()["current"]["schedule"]
    assert shown["from"] == "2126-12-24T18:00:00Z"


def test_the_default_scenario_keeps_the_bundles_weights_when_it_gets_a_variant(client):
    body = {**SIGNED, "share": 0.5, "weights": BOLD, "expected_version": 0}
    change = client.put("/scenarios/default/variants/bold", json=body).json()
    assert (change["previous"]["version"], change["current"]["version"]) == (0, 1)
    assert change["current"]["weights"] == change["previous"]["weights"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("variants/Bold", {"share": 0.1, "weights": BOLD}, "variant"),
        ("variants/control", {"share": 0.1, "weights": BOLD}, "variant"),
        ("variants/bold", {"share": "0.1", "weights": BOLD}, "share"),
        ("variants/bold", {"share": 0.00001, "weights": BOLD}, "share"),
        ("variants/bold", {"share": 2, "weights": BOLD}, "share"),
        ("variants/bold", {"share": 0.1}, "weights"),
        ("variants/bold", {"weights": BOLD}, "share"),
        ("variants/bold", {"share": 0.1, "weights": {"click": 1.0}}, "weights.exposure"),
        ("variants/bold", {"share": 0.1, "weights": BOLD, "slots": [[0, 1]]}, "slots"),
        ("variants/bold", {"share": 0.1, "weights": BOLD, "author": " "}, "author"),
        ("schedule", {"weights": SALE}, "until"),
        ("schedule", {"weights": {"click": 1.0}, "until": None}, "weights.exposure"),
        ("schedule", {"weights": SALE, "until": "2126-12-24"}, "until"),
        ("schedule", {"weights": SALE, "until": "2126-12-24T18:00:00"}, "until"),
        ("schedule", {"weights": SALE, "until": 4_000_000_000}, "until"),
        ("schedule", {"weights": SALE, "until": "2020-12-24T18:00:00Z"}, "until"),
        ("schedule", {"weights": SALE, "until": "0001-01-01T00:00:00+14:00"}, "until"),
        ("schedule", {"weights": SALE, "from": "tomorrow", "until": None}, "from"),
    ],
)
def test_a_wrong_change_is_refused_by_its_field_and_changes_nothing(client, path, body, field):
    refused = put(client, path, **body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)
    assert client.get("/scenarios/feed/weights").json()["version"] == 1


@pytest.mark.parametrize("path", ["variants/bold/end", "variants/bold/promote"])
def test_an_unknown_variant_is_a_404_that_lists_the_others(client, path):
    put(client, "variants/calm", share=0.1, weights=BOLD)
    refused = post(client, path)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_variant")
    assert refused.json()["error"]["expected"] == "one of calm"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "variants/bold", {"share": 0.1, "weights": BOLD}),
        ("POST", "variants/bold/end", {}),
        ("PUT", "schedule", {"weights": SALE, "until": None}),
        ("POST", "schedule/cancel", {}),
    ],
)
def test_changes_other_than_weights_need_a_scenario_that_is_there(client, method, path, body):
    refused = client.request(method, f"/scenarios/gone/{path}", json={**SIGNED, **body})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_scenario")


def test_a_stale_split_is_refused_with_what_is_there_now(client):
    put(client, "variants/bold", share=0.1, weights=BOLD, expected_version=1)
    refused = put(client, "variants/bold", share=0.2, expected_version=1)
    assert (refused.status_code, refused.json()["error"]["current"]["version"]) == (409, 2)
