"""Every refusal says what was wrong, where, and what was expected; nothing bad is a 5xx."""

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.api.errors import ApiError

JSON = {"content-type": "application/json"}
USER = {"user_id": "u00001"}
NOT_A_NUMBER = float("nan")


def assert_refused(response, status, code, field):
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["field"]) == (status, code, field)
    assert set(error) >= {"code", "field", "value", "expected", "message"}
    assert error["expected"]
    assert error["expected"] in error["message"]
    return error


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "user"),
        ({"user": None}, "user"),
        ({"user": []}, "user"),
        ([], "body"),
        ("text", "body"),
        (None, "body"),
        ({"user": USER, "k": 0}, "k"),
        ({"user": USER, "k": 1001}, "k"),
        ({"user": USER, "k": 2.0}, "k"),
        ({"user": USER, "k": "10"}, "k"),
        ({"user": USER, "k": True}, "k"),
        ({"user": USER, "k": 10**400}, "k"),
        ({"user": USER, "exclude": "i0000001"}, "exclude"),
        ({"user": USER, "exclude": [1]}, "exclude.0"),
        ({"user": USER, "exclude": ["i"] * 1001}, "exclude"),
        ({"user": USER, "scenario": "No Such Name"}, "scenario"),
        ({"user": USER, "scenario": 5}, "scenario"),
        ({"user": USER, "objective_scores": "yes"}, "objective_scores"),
        ({"user": USER, "weights": {"click": 1}}, "weights.exposure"),
        ({"user": USER, "weights": {}}, "weights.exposure"),
        ({"user": USER, "weights": {"exposure": 0, "click": 0, "conversion": 0}}, "weights"),
        ({"user": USER, "weights": {"k_d": -1, "k_o": 1, "k_r": 1}}, "weights.exposure"),
        ({"user": USER, "weights": {"k_d": 1, "k_o": NOT_A_NUMBER, "k_r": 1}}, "weights.k_o"),
        ({"user": USER, "weights": {"k_d": 1, "k_o": 1, "k_r": 1, "k_x": 1}}, "weights.k_x"),
        ({"user": USER, "weights": {"k_d": 1, "k_o": 1, "k_r": "1"}}, "weights.k_r"),
        ({"user": USER, "weights": [1, 2, 3]}, "weights"),
        ({"user": USER, "weights": {"\ud800": 1}}, "weights.?"),
        ({"user": {"user_id": 1.5}}, "user.user_id"),
        ({"user": {"user_id": ["u1"]}}, "user.user_id"),
        ({"user": {"recent_items": "i0000001"}}, "user.recent_items"),
        ({"user": {"recent_items": [{"id": 1}]}}, "user.recent_items"),
        ({"user": {"recent_items": ["i0000001"] * 1001}}, "user.recent_items"),
        ({"user": {"age": "30"}}, "user.age"),
        ({"user": {"age": True}}, "user.age"),
        ({"user": {"age": NOT_A_NUMBER}}, "user.age"),
        ({"user": {"age": float("inf")}}, "user.age"),
        ({"user": {"age": 10**400}}, "user.age"),
        ({"user": {"hour": NOT_A_NUMBER}}, "user.hour"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_its_field(reader, body, field):
    response = reader.post("/retrieve", content=json.dumps(body), headers=JSON)
    assert_refused(response, 422, "invalid_value", field)


def test_a_misspelt_field_is_refused_not_ignored(reader):
    response = reader.post("/retrieve", json={"user": USER, "exlude": ["i0000001"]})
    error = assert_refused(response, 422, "unknown_field", "exlude")
    assert error["value"] == '["i0000001"]'


def test_a_refused_value_is_shown_shortened(reader):
    response = reader.post("/retrieve", json={"user": {"age": "x" * 5000}})
    assert len(assert_refused(response, 422, "invalid_value", "user.age")["value"]) == 201
    response = reader.post("/retrieve", json={"user": {}, "weights": {"x" * 5000: 1}})
    assert len(response.json()["error"]["field"]) == 201
    nested = '{"user": {"age": ' + "[" * 900 + "]" * 900 + "}}"
    response = reader.post("/retrieve", content=nested, headers=JSON)
    assert_refused(response, 422, "invalid_value", "user.age")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": [1, 2.5, None, True, "é"]}, '{"a": [1, 2.5, null, true, "é"]}'),
        ([[1]] * 300_000, "[" + "[1], " * 39 + "[1],…"),
        ({"x": "y" * 300_000}, '{"x": "' + "y" * 193 + "…"),
        ([], "[]"),
    ],
)
def test_of_a_refused_list_or_object_only_the_beginning_is_written(value, shown):
    tracemalloc.start()
    body = json.loads(ApiError(422, "invalid_value", "user.age", value).response().body)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert body["error"]["value"] == shown
    assert peak_bytes < 1_500_000


def test_an_unknown_scenario_is_refused_with_the_ones_there_are(client):
    change = {"weights": {"k_d": 1, "k_o": 1, "k_r": 1}, "author": "ana", "reason": "x"}
    client.put("/scenarios/feed/weights", json=change)
    response = client.post("/retrieve", json={"user": USER, "scenario": "sidebar"})
    error = assert_refused(response, 404, "unknown_scenario", "scenario")
    assert (error["value"], error["expected"]) == ("sidebar", "one of default, feed")


@pytest.mark.parametrize(
    "content",
    [
        b'{"user": {',
        b"{'user': {}}",
        b'{"user": {}} trailing',
        b"\xff\xfe",
        b'{"user": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"user": {"age": ' + b"1" * 5000 + b"}}",
    ],
)
def test_a_body_that_is_not_json_is_a_400(reader, content):
    response = reader.post("/retrieve", content=content, headers=JSON)
    assert_refused(response, 400, "invalid_json", "body")


def test_a_body_sent_as_a_form_is_told_the_content_type(reader):
    form = {"content-type": "application/x-www-form-urlencoded"}
    response = reader.post("/retrieve", content=b'{"user": {}}', headers=form)
    error = assert_refused(response, 415, "not_json", "body")
    assert "application/json" in error["expected"]


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_is_refused(open_client, announced):
    client = open_client(max_body_bytes=2048)
    content = json.dumps({"user": {"note": "x" * 3000}}).encode()
    body = content if announced else iter([content[:1500], content[1500:]])
    response = client.post("/retrieve", content=body, headers=JSON)
    error = assert_refused(response, 413, "body_too_large", "body")
    assert error["expected"] == "at most 2048 bytes"


def test_wrong_paths_and_methods_have_the_same_body(reader):
    assert_refused(reader.get("/retrieves"), 404, "not_found", "path")
    response = reader.get("/retrieve")
    assert_refused(response, 405, "method_not_allowed", "method")
    assert response.headers["allow"] == "POST"


def test_limits_follow_the_settings(open_client):
    client = open_client(max_k=5, max_exclude=1, max_sequence=2)
    assert client.post("/retrieve", json={"user": USER, "k": 5}).status_code == 200
    for body, field in (
        ({"user": USER, "k": 6}, "k"),
        ({"user": USER, "k": 5, "exclude": ["a", "b"]}, "exclude"),
        ({"user": {"recent_items": ["a", "b", "c"]}, "k": 5}, "user.recent_items"),
    ):
        assert_refused(client.post("/retrieve", json=body), 422, "invalid_value", field)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
conditions = st.fixed_dictionaries(
    {"attribute": st.sampled_from(["brand", "price", "in_stock"]) | values},
    optional=dict.fromkeys(["equals", "in", "not_in", "min", "max"], values),
)
users = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["user_id", "hour", "recent_items", "age", "x"], values)
)
weighted = {
    "scenario": st.just("default") | values,
    "weights": st.fixed_dictionaries(dict.fromkeys(["k_d", "k_o", "k_r"], values)) | values,
    "objective_scores": st.booleans() | values,
}
listed = weighted | {
    "k": st.integers(-5, 1005) | values,
    "exclude": st.lists(st.text(max_size=12), max_size=3) | values,
    "filter": st.lists(conditions | values, max_size=3) | values,
}
item_ids = st.lists(st.text(max_size=12) | st.just("i0000001"), max_size=3)
bodies = {
    "/retrieve": {"user": users | values, "explain": st.booleans() | values, **listed},
    "/retrieve/batch": {"users": st.lists(users | values, max_size=3) | values, **listed},
    "/score": {"user": users | values, "item_ids": item_ids | values, **weighted},
}


@pytest.mark.parametrize("path", bodies)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_json_whatever_makes_the_service_fail(reader, path, data):
    body = data.draw(st.fixed_dictionaries({}, optional=bodies[path]) | values)
    response = reader.post(path, content=json.dumps(body), headers=JSON)
    answer = response.json()
    assert response.status_code in (200, 404, 422)
    assert ("error" in answer) == (response.status_code != 200)
