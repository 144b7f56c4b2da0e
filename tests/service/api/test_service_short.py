"""The short way and the framework's answer alike, and every other body takes the framework's."""

import json

import pytest
from fastapi import APIRouter
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.api.schemas import BatchRequest, RetrieveRequest, ScoreRequest

SHORT, LONG = "application/json", "application/json; charset=utf-8"
USER = {"user_id": "u00001", "hour": 8, "recent_items": ["i0000083"]}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(sorted({*RetrieveRequest.model_fields, "unknown", "in", "attribute"}))
BODIES = st.dictionaries(NAMES, VALUES, max_size=4)


@pytest.fixture
def long_asked(monkeypatch):
    """Paths that the framework's router was asked for."""
    asked, through = [], APIRouter.__call__

    async def noting(router, scope, receive, send):
        if scope["type"] == "http":
            asked.append(scope["path"])
        await through(router, scope, receive, send)

    monkeypatch.setattr(APIRouter, "__call__", noting)
    return asked


def post(client, path, content, kind):
    content = content if isinstance(content, bytes) else json.dumps(content)
    response = client.post(path, content=content, headers={"content-type": kind})
    answer = response.json()
    answer.pop("timings_ms", None)
    answer.get("error", {}).pop("request_id", None)
    headers = {n: v for n, v in response.headers.items() if n not in {"x-request-id"}}
    if "timings_ms" in response.text:  # as long as the times take to write
        headers.pop("content-length")
    return response.status_code, headers, answer


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/retrieve", {"user": USER, "k": 7, "explain": True}),
        ("/retrieve", {"user": USER, "filter": [{"attribute": "price", "min": 20}]}),
        ("/retrieve", {"user": USER, "scenario": "nobody-set-this"}),
        ("/retrieve", {"user": USER, "weights": {"click": 1}}),
        ("/retrieve", {"user": {"age": "30"}}),
        ("/retrieve", {"user": USER, "k": 1001}),
        ("/retrieve", {"user": USER, "k": "10"}),
        ("/retrieve", {"user": USER, "exlude": []}),
        ("/retrieve", b'{"user": {}, "k": 5, "k": 6}'),
        ("/retrieve", b'{"user": {"age": NaN}}'),
        ("/retrieve", b'{"user": {"user_id": "\\ud800"}, "k": 3}'),
        ("/retrieve", '{"user": {}, "k": 3}'.encode("utf-16")),
        ("/retrieve", b'{"user": {}'),
        ("/retrieve", b""),
        ("/retrieve/batch", {"users": [USER, {}], "k": 3}),
        ("/retrieve/batch", {"users": [USER, {"age": "30"}]}),
        ("/score", {"user": USER, "item_ids": ["i0000001", "nothing"]}),
        ("/score", {"user": USER}),
    ],
)
def test_both_ways_give_one_answer(reader, path, body):
    assert post(reader, path, body, LONG) == post(reader, path, body, SHORT)


@given(BODIES)
@example({"user": {"a": 10**400}, "k": 5.0})
@example({"user": {}, "weights": {"k_d": 10**400}})
@example({"user": {}, "filter": [{"attribute": "a", "in": [1, 1.0, True, "1"]}]})
def test_what_the_short_way_reads_the_framework_reads_to_the_same_values(body):
    content = json.dumps(body)
    for model in (RetrieveRequest, BatchRequest, ScoreRequest):
        try:
            short = model.model_validate_json(content)
        except ValidationError:
            continue
        assert repr(short) == repr(model.model_validate(json.loads(content)))


@given(st.floats(allow_nan=False) | st.integers())
def test_both_parsers_read_a_number_to_the_last_digit(number):
    text = json.dumps(number)
    read = RetrieveRequest.model_validate_json(f'{{"user": {{"a": {text}}}}}')
    assert repr(read.user["a"]) == repr(json.loads(text))


@pytest.mark.parametrize("kind", [SHORT, LONG])
def test_only_what_is_not_plain_goes_through_the_framework(long_asked, open_client, kind):
    client = open_client()
    assert post(client, "/retrieve", {"user": USER}, kind)[0] == 200
    assert long_asked == (["/retrieve"] if kind == LONG else [])
    assert post(client, "/retrieve", {"user": 5}, kind)[0] == 422
    assert long_asked[-1] == "/retrieve"


def test_a_fault_is_answered_and_raised_the_same_both_ways(open_client, monkeypatch):
    def broken(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr("service.api.retrieve.retrieve", broken)
    client = open_client()
    answers = [post(client, "/retrieve", {"user": USER}, kind) for kind in (SHORT, LONG)]
    assert answers[0] == answers[1]
    assert answers[0][0] == 500
    assert answers[0][2]["error"]["code"] == "internal"
