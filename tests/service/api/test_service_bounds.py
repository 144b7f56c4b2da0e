"""Attacks by size, depth, number and path: each refused by name, or served as what it is."""

import json

import pytest
from support.release import Release, add_exact_index, make_release, write_bundle

from bundle.features import Vector
from bundle.store import publish

JSON = {"content-type": "application/json"}
USER = {"user_id": "u00001"}
LONG = "x" * 1001
CHANGE = {"weights": {"k_d": 1, "k_o": 1, "k_r": 1}, "author": "ana", "reason": "x"}


def refused(response, status, field):
    error = response.json()["error"]
    return (response.status_code, error["field"]) == (status, field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"user": {f"f{number}": 1 for number in range(1001)}}, "user"),
        ({"user": {LONG: 1}}, "user"),
        ({"user": {"user_id": LONG}}, "user.user_id"),
        ({"user": {"recent_items": ["i0000001", LONG]}}, "user.recent_items"),
        ({"user": {"unknown": LONG}}, "user.unknown"),
        ({"user": {"unknown": [LONG]}}, "user.unknown"),
        ({"user": {"unknown": [["a", {"b": [LONG]}]]}}, "user.unknown"),
        ({"user": {"unknown": {LONG: 1}}}, "user.unknown"),
        ({"user": {"unknown": [1] * 1001}}, "user.unknown"),
        ({"user": {"unknown": [[1] * 500] * 2}}, "user.unknown"),
        ({"user": {"unknown": {"a": {f"b{number}": 1 for number in range(500)}}}}, "user.unknown"),
        ({"user": {"age": [1] * 300_000}}, "user.age"),
        ({"user": {"user_id": [[1, 2, 3]] * 100_000}}, "user.user_id"),
        ({"user": USER, "exclude": ["i0000001", LONG]}, "exclude"),
        ({"user": USER, "filter": [{"attribute": "brand", "equals": LONG}]}, "filter.0"),
        ({"user": USER, "filter": [{"attribute": "brand", "in": ["a", LONG]}]}, "filter.0"),
        ({"user": USER, "filter": [{"attribute": "brand", "not_in": [LONG]}]}, "filter.0"),
        ({"user": USER, "filter": [{"attribute": "in_stock", "equals": True}] * 201}, "filter"),
    ],
)
def test_what_is_too_many_or_too_long_is_refused_by_its_field(reader, body, field):
    assert refused(reader.post("/retrieve", json=body), 422, field)


def test_the_largest_of_everything_is_served(reader):
    body = {
        "user": {f"f{number}": "x" * 1000 for number in range(997)}
        | {"user_id": "x" * 1000, "recent_items": ["i0000001"] * 1000, "x" * 1000: 1},
        "exclude": [f"i{number}" for number in range(1000)],
        "k": 1000,
    }
    text = json.dumps(body)
    assert len(text) < 1_048_576
    assert reader.post("/retrieve", content=text, headers=JSON).status_code == 200


def test_a_vector_may_have_its_dims_and_no_other_list_as_many(open_client, tmp_path):
    releases = release_with_a_user_vector(tmp_path, dim=8)
    client = open_client(releases=releases, max_sequence=4)
    assert client.post("/retrieve", json={"user": {"taste": [0.5] * 8}}).status_code == 200
    for name in ("taste", "recent_items", "unknown"):
        response = client.post("/retrieve", json={"user": {name: [0.5] * 9}})
        assert refused(response, 422, f"user.{name}")


def release_with_a_user_vector(root, dim):
    made = make_release(root, items=30, users=5, requests=10)
    schema = made.bundle.schema
    wider = schema.model_copy(update={"user": [*schema.user, Vector(name="taste", dim=dim)]})
    write_bundle(made.releases, "wider", made.bundle.segments, wider)
    add_exact_index(Release(made.releases, "wider", made.log))
    publish(made.releases, "wider", "b1")
    return made.releases


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e-400", "9" * 400, "-0.0", "1E+308"])
def test_a_number_beyond_every_type_is_refused_or_read_as_the_nearest(reader, number):
    for body in ('{"user": {"age": %s}}', '{"user": {}, "k": %s}', '{"user": {"hour": %s}}',
                 '{"user": {}, "weights": {"k_d": %s, "k_o": 1, "k_r": 1}}',
                 '{"user": {}, "filter": [{"attribute": "price", "min": %s}]}'):  # fmt: skip
        response = reader.post("/retrieve", content=body % number, headers=JSON)
        assert response.status_code in (200, 422), (body, response.text)


@pytest.mark.parametrize("depth", [10, 500, 900, 5_000, 400_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_of_any_depth_is_answered(reader, depth, opening, closing):
    for body in ('{"user": {"age": %s}}', '{"user": {"x": %s}}', '{"user": {}, "weights": %s}',
                 '{"user": {}, "exclude": %s}', "%s"):  # fmt: skip
        nested = body % (opening * depth + "1" + closing * depth)
        response = reader.post("/retrieve", content=nested, headers=JSON)
        assert response.status_code in (200, 400, 413, 422), response.text
        if body != '{"user": {"x": %s}}':
            assert response.status_code != 200


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "%2e%2e%2fetc",
        "..%2F..%2FCURRENT",
        "%00",
        "a%00b",
        "x" * 65,
        "CON:",
        "-",
        "%ff",
        "a b",
    ],
)
def test_no_name_in_a_path_reaches_a_file_or_a_key(reader, name):
    for method, path, body in (
        ("GET", f"/scenarios/{name}/weights", None),
        ("GET", f"/scenarios/{name}/weights/history", None),
        ("PUT", f"/scenarios/{name}/weights", CHANGE),
        ("PUT", f"/scenarios/default/variants/{name}", {**CHANGE, "share": 0.1}),
        ("POST", f"/scenarios/{name}/preview", {"weights": CHANGE["weights"], "k": 1}),
    ):
        response = reader.request(method, path, json=body)
        assert response.status_code in (404, 405, 422), (method, path, response.text)
    assert reader.get(f"/static-offline-docs/{name}").status_code == 404
    assert [each["scenario"] for each in reader.get("/scenarios").json()["scenarios"]] == [
        "default"
    ]


@pytest.mark.parametrize("where", ["user_id", "recent_items", "unknown"])
def test_a_value_that_looks_like_a_path_or_a_command_is_only_a_value(reader, where):
    for text in (
        "../../CURRENT",
        "/etc/passwd",
        "\x00",
        "{csmf:weights}:current",
        "'; DROP",
        "\r\n",
    ):
        value = [text] if where == "recent_items" else text
        response = reader.post("/retrieve", json={"user": {where: value}, "k": 1})
        assert response.status_code == 200
