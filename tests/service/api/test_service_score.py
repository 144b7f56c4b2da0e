"""What a caller of /score may rely on: the scores that a list would have, of the items it names."""

import json

import numpy as np
import pytest

JSON = {"content-type": "application/json"}
PAPER = {"exposure": 1.0, "click": 1.8, "conversion": 1.2}
USER = {"user_id": "u00001"}


def post(client, path, **body):
    return client.post(path, content=json.dumps(body), headers=JSON)


def answer(client, path, **body):
    response = post(client, path, **body)
    assert response.status_code == 200, response.text
    return response.json()


def test_candidates_get_the_scores_that_a_list_gives_them_in_the_order_given(reader, users):
    asked = {"user": users[3], "weights": PAPER, "objective_scores": True}
    listed = answer(reader, "/retrieve", k=40, **asked)
    found = answer(reader, "/score", item_ids=listed["item_ids"][::-1], **asked)
    assert found["item_ids"] == listed["item_ids"][::-1]
    np.testing.assert_allclose(found["scores"], listed["scores"][::-1], rtol=1e-5, atol=1e-5)
    for stage, scores in listed["objective_scores"].items():
        np.testing.assert_allclose(found["objective_scores"][stage], scores[::-1], rtol=1e-5)


def test_an_item_that_is_given_twice_is_scored_twice(reader):
    found = answer(reader, "/score", user=USER, item_ids=["i0000004", "i0000002", "i0000004"])
    assert found["item_ids"] == ["i0000004", "i0000002", "i0000004"]
    assert found["scores"][0] == found["scores"][2] != found["scores"][1]


def test_candidates_that_the_catalogue_lacks_are_named_and_the_others_scored(reader):
    strange = ["gone", "", "i0000002\x00", "i0000002-longer-than-any", "\ud800"]
    found = answer(reader, "/score", user=USER, item_ids=[*strange, "i0000002"])
    assert (found["item_ids"], found["missing"]) == (["i0000002"], [*strange[:4], "?"])
    assert len(found["scores"]) == 1
    for nothing in ([], ["gone"]):
        found = answer(reader, "/score", user=USER, item_ids=nothing, objective_scores=True)
        assert (found["item_ids"], found["scores"], found["missing"]) == ([], [], nothing)
        assert not any(found["objective_scores"].values())


def test_scores_are_those_of_the_users_own_variant(client):
    signed = {"author": "ana", "reason": "try it"}
    client.put("/scenarios/feed/weights", json={**signed, "weights": PAPER})
    bold = {"exposure": 0, "click": 0, "conversion": 1}
    client.put("/scenarios/feed/variants/bold", json={**signed, "share": 0.5, "weights": bold})
    items, seen = ["i0000001", "i0000007"], set()
    for user in ({"user_id": f"u{number:05d}"} for number in range(20)):
        found = answer(client, "/score", user=user, item_ids=items, scenario="feed")
        weights = bold if found["variant"] else PAPER
        same = answer(client, "/score", user=user, item_ids=items, weights=weights)
        assert (found["scores"], found["weights_version"]) == (same["scores"], 2)
        seen.add(found["variant"])
    assert seen == {None, "bold"}


def test_an_answer_names_what_made_it(reader):
    found = answer(reader, "/score", user={**USER, "colour": "red"}, item_ids=["i0000001"])
    assert (found["run_id"], found["build_id"], found["catalogue_position"]) == ("tiny", "b1", 0)
    assert (found["scenario"], found["weights_version"]) == ("default", 0)
    assert set(found["timings_ms"]) == {"queue", "encode", "tower", "score", "total"}
    assert found["unknown"] == {"features": ["colour"], "categories": {}}
    assert "objective_scores" not in found


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"user": USER}, "item_ids"),
        ({"item_ids": []}, "user"),
        ({"user": USER, "item_ids": "i0000001"}, "item_ids"),
        ({"user": USER, "item_ids": [1]}, "item_ids.0"),
        ({"user": USER, "item_ids": ["i"] * 1001}, "item_ids"),
        ({"user": USER, "item_ids": ["x" * 1001]}, "item_ids"),
        ({"user": {"age": "30"}, "item_ids": []}, "user.age"),
        ({"user": {"recent_items": ["i"] * 1001}, "item_ids": []}, "user.recent_items"),
        ({"user": USER, "item_ids": [], "weights": {"click": 1}}, "weights.exposure"),
        ({"user": USER, "item_ids": [], "k": 3}, "k"),
    ],
)
def test_a_wrong_value_is_refused_by_its_field(reader, body, field):
    response = post(reader, "/score", **body)
    assert (response.status_code, response.json()["error"]["field"]) == (422, field)


def test_an_unknown_scenario_is_refused(reader):
    response = post(reader, "/score", user=USER, item_ids=[], scenario="nowhere")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_scenario")


def test_the_bound_on_candidates_follows_its_setting_and_answers_are_counted(open_client):
    client = open_client(max_candidates=2)
    assert post(client, "/score", user=USER, item_ids=["a", "b"]).status_code == 200
    assert post(client, "/score", user=USER, item_ids=["a", "b", "c"]).status_code == 422
    text = client.get("/metrics").text
    assert 'csmf_requests_total{route="/score",scenario="default",status="200"} 1.0' in text
    assert 'csmf_requests_total{route="/score",scenario="default",status="422"} 1.0' in text
