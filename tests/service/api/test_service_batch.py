"""What a caller of /retrieve/batch may rely on: what /retrieve gives each user, or nothing."""

import json
import re

import numpy as np
import pytest

JSON = {"content-type": "application/json"}
PAPER = {"exposure": 1.0, "click": 1.8, "conversion": 1.2}
SIGNED = {"author": "ana", "reason": "try it"}
USER = {"user_id": "u00001"}


def post(client, path, **body):
    return client.post(path, content=json.dumps(body), headers=JSON)


def answer(client, path, **body):
    response = post(client, path, **body)
    assert response.status_code == 200, response.text
    return response.json()


def test_each_user_gets_the_list_that_retrieve_gives(reader, users):
    asked = {
        "k": 20,
        "weights": PAPER,
        "objective_scores": True,
        "exclude": ["i0000003"],
        "filter": [{"attribute": "in_stock", "equals": True}],
    }
    strange = [{}, {"user_id": "never seen", "colour": "red"}, {"recent_items": ["gone"]}]
    batch = [*users[:10], *strange, users[0]]
    results = answer(reader, "/retrieve/batch", users=batch, **asked)["results"]
    assert len(results) == len(batch)
    for user, found in zip(batch, results, strict=True):
        alone = answer(reader, "/retrieve", user=user, **asked)
        for name in ("item_ids", "scenario", "weights_version", "unknown"):
            assert found.get(name) == alone.get(name)
        np.testing.assert_allclose(found["scores"], alone["scores"], rtol=1e-5, atol=1e-5)
        for stage, scores in alone["objective_scores"].items():
            np.testing.assert_allclose(found["objective_scores"][stage], scores, atol=1e-5)


def test_each_user_is_served_their_own_variant(client):
    client.put("/scenarios/feed/weights", json={**SIGNED, "weights": PAPER})
    bold = {"exposure": 0, "click": 0, "conversion": 1}
    client.put("/scenarios/feed/variants/bold", json={**SIGNED, "share": 0.5, "weights": bold})
    batch = [{"user_id": f"u{number:05d}"} for number in range(20)]
    results = answer(client, "/retrieve/batch", users=batch, scenario="feed", k=5)["results"]
    alone = [answer(client, "/retrieve", user=user, scenario="feed", k=5) for user in batch]
    assert {found["variant"] for found in results} == {None, "bold"}
    for name in ("item_ids", "variant", "weights_version"):
        assert [found[name] for found in alone] == [found[name] for found in results]


def test_what_made_the_lists_is_said_once(reader):
    found = answer(reader, "/retrieve/batch", users=[USER, {}], k=3)
    assert (found["run_id"], found["build_id"], found["catalogue_position"]) == ("tiny", "b1", 0)
    assert set(found["timings_ms"]) == {"queue", "encode", "tower", "search", "total"}
    assert set(found) == {"results", "run_id", "build_id", "catalogue_position", "timings_ms"}
    assert set(found["results"][0]) == {"item_ids", "scores", "scenario", "weights_version"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "users"),
        ({"users": []}, "users"),
        ({"users": USER}, "users"),
        ({"users": [USER, None]}, "users.1"),
        ({"users": [USER] * 33}, "users"),
        ({"users": [USER, {}, {"age": "30"}]}, "users.2.age"),
        ({"users": [USER, {"recent_items": ["i"] * 1001}]}, "users.1.recent_items"),
        ({"users": [USER, {"user_id": "x" * 1001}]}, "users.1.user_id"),
        ({"users": [USER, {f"f{number}": 1 for number in range(1001)}]}, "users.1"),
        ({"users": [USER], "k": 1001}, "k"),
        ({"users": [USER], "exclude": ["i"] * 1001}, "exclude"),
        ({"users": [USER], "filter": [{"attribute": "colour", "equals": 1}]}, "filter.0.attribute"),
        ({"users": [USER], "weights": {"click": 1}}, "weights.exposure"),
        ({"users": [USER], "user": USER}, "user"),
    ],
)
def test_one_wrong_value_refuses_the_batch_by_its_place(reader, body, field):
    response = post(reader, "/retrieve/batch", **body)
    assert (response.status_code, response.json()["error"]["field"]) == (422, field)


def test_an_unknown_scenario_is_refused(reader):
    response = post(reader, "/retrieve/batch", users=[USER], scenario="nowhere")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_scenario")


def test_the_largest_batch_follows_its_setting_and_is_one_request_of_many_lists(open_client):
    client = open_client(max_batch=3, max_in_flight=1)
    assert post(client, "/retrieve/batch", users=[USER] * 3, k=2).status_code == 200
    assert post(client, "/retrieve/batch", users=[USER] * 4, k=2).status_code == 422
    text = client.get("/metrics").text
    counted = re.findall(r'requests_total{route="/retrieve/batch",.*status="(.*)"} (.*)', text)
    assert sorted(counted) == [("200", "1.0"), ("422", "1.0")]
    assert 'csmf_lists_total{scenario="default",weights="own"} 3.0' in text
