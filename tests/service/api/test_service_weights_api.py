"""What operators may rely on over HTTP, with the weights in Redis and in the local file alike."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.weights.changes import Change, set_weights

PAPER = {"exposure": 1.0, "click": 1.8, "conversion": 1.2}
CLICKS = {"exposure": 0.0, "click": 1.0, "conversion": 0.0}
USER = {"user": {"user_id": "u00001"}, "k": 3}


@pytest.fixture(params=["embedded", "redis"])
def client(request, open_client):
    if request.param == "embedded":
        return open_client()
    return open_client(redis_url=request.getfixturevalue("empty_redis").url)


def put(client, scenario, weights, **fields):
    body = {"weights": weights, "author": "ana", "reason": "try it", **fields}
    return client.put(f"/scenarios/{scenario}/weights", json=body)


def roll_back(client, scenario, version, **fields):
    body = {"to_version": version, "author": "bo", "reason": "undo", **fields}
    return client.post(f"/scenarios/{scenario}/weights/rollback", json=body)


def served_version(client, scenario):
    return client.post("/retrieve", json={**USER, "scenario": scenario}).json()["weights_version"]


def test_the_default_scenario_is_there_before_anyone_sets_it(client):
    listed = client.get("/scenarios").json()
    assert listed["stages"] == ["exposure", "click", "conversion"]
    assert 0 <= listed["age_s"] < 60
    (default,) = listed["scenarios"]
    assert (default["scenario"], default["version"], default["author"]) == ("default", 0, "bundle")
    assert default["weights"] == {"exposure": 1.0, "click": 1.0, "conversion": 1.0}
    assert client.get("/scenarios/default/weights/history").json() == {"records": []}


def test_the_default_scenario_can_be_set_and_its_first_change_shows_the_bundles_weights(client):
    change = put(client, "default", PAPER).json()
    assert (change["previous"]["version"], change["previous"]["author"]) == (0, "bundle")
    assert (change["current"]["version"], change["current"]["weights"]) == (1, PAPER)
    assert served_version(client, "default") == 1


def test_a_change_shows_weights_and_scales_before_and_after(client):
    assert put(client, "feed", CLICKS).json()["previous"] is None
    change = put(client, "feed", {"k_d": 1, "k_o": 1.8, "k_r": 1.2}).json()
    assert change["previous"]["scales"] == {"exposure": 1.0, "click": 1.0, "conversion": 0.0}
    assert change["current"]["weights"] == PAPER
    assert change["current"]["scales"] == {"exposure": 4.0, "click": 3.0, "conversion": 1.2}
    assert client.get("/scenarios/feed/weights").json() == change["current"]


def test_a_change_is_served_by_the_next_request(client):
    for version in (1, 2, 3):
        put(client, "feed", PAPER)
        assert served_version(client, "feed") == version


def test_a_stale_change_is_refused_with_what_is_there_now(client):
    put(client, "feed", PAPER)
    refused = put(client, "feed", CLICKS, expected_version=0)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (409, "version_conflict")
    assert (error["current"]["version"], error["current"]["weights"]) == (1, PAPER)
    assert put(client, "feed", CLICKS, expected_version=1).status_code == 200


def test_a_rollback_is_a_new_version_with_the_old_weights(client):
    for weights in (PAPER, CLICKS):
        put(client, "feed", weights)
    change = roll_back(client, "feed", 1).json()
    assert (change["current"]["version"], change["current"]["weights"]) == (3, PAPER)
    assert change["previous"]["weights"] == CLICKS
    history = client.get("/scenarios/feed/weights/history").json()["records"]
    assert [(record["version"], record["author"]) for record in history] == [
        (3, "bo"),
        (2, "ana"),
        (1, "ana"),
    ]


def test_a_rollback_to_nowhere_names_the_versions_there_are(client):
    put(client, "feed", PAPER)
    refused = roll_back(client, "feed", 7)
    assert (refused.status_code, refused.json()["error"]["field"]) == (404, "to_version")
    assert refused.json()["error"]["expected"] == "a version from 1 to 1"


@pytest.mark.parametrize("version", [2**53, 2**63, 10**30])
def test_a_version_too_large_for_any_store_is_refused_by_its_field(client, version):
    put(client, "feed", PAPER)
    refused = roll_back(client, "feed", version)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "to_version")
    refused = client.get(f"/scenarios/feed/weights/history?before={version}")
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "before")
    assert roll_back(client, "feed", 2**53 - 1).status_code == 404


def test_history_comes_in_pages(client):
    for _ in range(4):
        put(client, "feed", PAPER)

    def page(query):
        records = client.get(f"/scenarios/feed/weights/history?{query}").json()["records"]
        return [record["version"] for record in records]

    assert page("limit=2") == [4, 3]
    assert page("limit=2&before=3") == [2, 1]
    refused = client.get("/scenarios/feed/weights/history?limit=0")
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "limit")


@pytest.mark.parametrize("path", ["/scenarios/gone/weights", "/scenarios/gone/weights/history"])
def test_reading_an_unknown_scenario_is_a_404_that_lists_the_others(client, path):
    put(client, "feed", PAPER)
    refused = client.get(path)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_scenario")
    assert refused.json()["error"]["expected"] == "one of default, feed"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"weights": {**PAPER, "share": 1}}, "weights.share"),
        ({"weights": {"exposure": 1}}, "weights.click"),
        ({"weights": {**PAPER, "click": -0.1}}, "weights.click"),
        ({"weights": dict.fromkeys(PAPER, 0)}, "weights"),
        ({"weights": PAPER, "author": ""}, "author"),
        ({"weights": PAPER, "author": "  "}, "author"),
        ({"weights": PAPER, "author": None}, "author"),
        ({"weights": PAPER, "author": "ana\u0000"}, "author"),
        ({"weights": PAPER, "reason": "two\nlines"}, "reason"),
        ({"weights": PAPER, "reason": "x" * 501}, "reason"),
        ({"weights": PAPER, "expected_version": -1}, "expected_version"),
        ({"weights": PAPER, "version": 3}, "version"),
    ],
)
def test_a_wrong_change_is_refused_by_its_field_and_changes_nothing(reader, change, field):
    body = {"author": "ana", "reason": "try it", **change}
    refused = reader.put("/scenarios/feed/weights", json=body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)
    assert [found["scenario"] for found in reader.get("/scenarios").json()["scenarios"]] == [
        "default"
    ]


@pytest.mark.parametrize("field", ["weights", "author", "reason"])
def test_a_change_must_say_who_and_why(reader, field):
    body = {"weights": PAPER, "author": "ana", "reason": "try it"}
    body.pop(field)
    refused = reader.put("/scenarios/feed/weights", json=body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)


@pytest.mark.parametrize("name", ["Feed", "a b", "-x", "x" * 65, "%00"])
def test_scenario_names_are_short_and_plain(reader, name):
    refused = reader.put(f"/scenarios/{name}/weights", json={})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "name")


def test_weights_changed_by_a_bundle_with_other_stages_fall_back_to_its_default(client, caplog):
    """As after publishing a bundle with another cascade: records of the old one cannot be used."""
    store = client.app.state.parts.store
    set_weights(store, Change("feed", "ana", "older cascade"), {"view": 1.0, "buy": 2.0})
    client.app.state.parts.board.refresh()
    assert served_version(client, "feed") == 0
    assert client.get("/scenarios/feed/weights").json()["scales"] is None
    assert "csmf_weights_unfit_scenarios 1.0" in client.get("/metrics").text
    client.app.state.parts.board.refresh()
    assert caplog.text.count("weights of ['feed'] do not fit the stages") == 1
    assert roll_back(client, "feed", 1).json()["error"]["field"] == "weights.view"


def test_without_redis_the_service_stays_ready_serves_what_it_knows_and_refuses_changes(
    open_client, own_redis
):
    client = open_client(redis_url=own_redis.url)
    put(client, "feed", PAPER)
    own_redis.stop()
    assert client.get("/readyz").status_code == 200
    assert served_version(client, "feed") == 1
    refused = put(client, "feed", CLICKS)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_unavailable")
    assert refused.headers["retry-after"] == "1"
    assert own_redis.url not in refused.text
    assert served_version(client, "feed") == 1
    restarted = open_client(redis_url=own_redis.url)
    assert served_version(restarted, "feed") == 1
    assert restarted.get("/scenarios").json()["age_s"] is None


def test_after_a_flush_changes_and_rollbacks_go_on_and_what_is_lost_is_said(open_client, own_redis):
    client = open_client(redis_url=own_redis.url)
    for weights in (PAPER, CLICKS, PAPER):
        put(client, "feed", weights)
    own_redis.client().flushall()
    change = put(client, "feed", CLICKS, expected_version=3).json()
    assert (change["previous"]["version"], change["current"]["version"]) == (3, 4)
    assert roll_back(client, "feed", 2).json()["current"]["weights"] == CLICKS
    own_redis.client().xdel("{csmf:weights}:history:feed", "2-0")
    refused = roll_back(client, "feed", 2)
    assert refused.status_code == 404
    assert "the store lost this one" in refused.json()["error"]["expected"]


def test_the_age_of_the_weights_grows_while_the_store_is_away(open_client, own_redis):
    client = open_client(redis_url=own_redis.url, weights_poll_s=0.05)

    def age():
        (line,) = [
            line
            for line in client.get("/metrics").text.splitlines()
            if line.startswith("csmf_weights_age_seconds ")
        ]
        return float(line.split()[1])

    assert age() < 1
    own_redis.stop()
    time.sleep(1.2)
    assert age() > 1


def test_no_request_waits_behind_operators_whose_store_does_not_answer(open_client, monkeypatch):
    client = open_client()
    asked, answers = threading.Semaphore(0), threading.Event()

    def history(*_):
        asked.release()
        answers.wait()
        return []

    monkeypatch.setattr(client.app.state.parts.store, "history", history)
    with ThreadPoolExecutor() as others, ThreadPoolExecutor(60) as operators:
        try:
            for _ in range(60):
                operators.submit(client.get, "/scenarios/default/weights/history")
            for _ in range(40):  # all the threads there are for such routes
                assert asked.acquire(timeout=30)
            retrieved = others.submit(client.post, "/retrieve", json=USER)
            assert retrieved.result(timeout=30).status_code == 200
            assert others.submit(client.get, "/readyz").result(timeout=30).status_code == 200
        finally:
            answers.set()


def test_a_rollback_to_zero_takes_default_back_to_what_the_bundle_recommends(client):
    first = client.get("/scenarios/default/weights").json()
    assert first["version"] == 0
    for scenario in ("default", "feed"):
        put(client, scenario, CLICKS)
    current = roll_back(client, "default", 0).json()["current"]
    assert (current["version"], current["weights"]) == (2, first["weights"])
    refused = roll_back(client, "feed", 0)  # which had nothing before somebody set it
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_version")
