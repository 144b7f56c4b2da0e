"""Every request has an id, its caller's or a new one, and every answer names it."""

import asyncio
import re
from contextlib import suppress

import pytest

from service.api.request_id import IdentifyRequest
from service.watch.logs import REQUEST_ID

MADE_HERE = re.compile("[0-9a-f]{16}").fullmatch
NAMED = {"x-request-id": "Root=1-67891233:a_b.c-D"}


def test_an_answer_has_the_id_that_the_caller_sent(reader):
    answer = reader.post("/retrieve", json={"user": {}}, headers=NAMED)
    assert answer.headers.get_list("x-request-id") == [NAMED["x-request-id"]]


def test_a_refusal_has_it_in_its_body_too(reader):
    answer = reader.post("/retrieve", json={}, headers=NAMED)
    assert answer.status_code == 422
    assert answer.json()["error"]["request_id"] == NAMED["x-request-id"]


@pytest.mark.parametrize("sent", [b"", b"a b", b"x" * 65, b"\xc3\xa9", b"a\tb", b'{"a"}', b"a/b"])
def test_an_id_that_could_not_be_logged_as_it_is_gives_way_to_a_new_one(reader, sent):
    answer = reader.get("/livez", headers={b"x-request-id": sent})
    assert MADE_HERE(answer.headers["x-request-id"])


def test_two_requests_without_an_id_get_different_ones(reader):
    first, second = (reader.get("/livez").headers["x-request-id"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nowhere", None, 404),
        ("GET", "/retrieve", None, 405),
        ("POST", "/retrieve", {"user": {"x": "y" * 5000}}, 413),
    ],
)
def test_what_the_framework_refuses_has_an_id_too(open_client, method, path, body, status):
    answer = open_client(max_body_bytes=1024).request(method, path, json=body)
    assert answer.status_code == status
    assert answer.headers["x-request-id"] == answer.json()["error"]["request_id"]


def test_a_fault_of_the_service_has_an_id_too(client, monkeypatch):
    monkeypatch.setattr("service.watch.scrape.render", lambda _: 1 / 0)
    answer = client.get("/metrics", headers=NAMED)
    assert answer.status_code == 500
    assert answer.headers.get_list("x-request-id") == [NAMED["x-request-id"]]
    assert answer.json()["error"]["request_id"] == NAMED["x-request-id"]


def test_the_id_is_still_known_when_the_server_logs_what_the_app_raised():
    async def failing(*_):
        raise ValueError

    async def serve():
        scope = {"type": "http", "headers": [(b"x-request-id", b"abc")]}
        with suppress(ValueError):
            await IdentifyRequest(failing, access_log=False)(scope, None, None)
        return REQUEST_ID.get()

    assert asyncio.run(serve()) == "abc"
