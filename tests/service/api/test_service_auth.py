"""Which key may call what; nothing of a request is read before that is settled."""

import re

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from service.access.keys import ROLES, KeysError, add_key, revoke
from service.api.auth import ROLE_OF
from service.app import create_app
from service.settings import Settings

QUERY = {"user": {"user_id": "u00001"}, "k": 3}
CHANGE = {"weights": {"k_d": 1, "k_o": 1, "k_r": 1}, "author": "ana", "reason": "x"}
OPEN, ANY = [*ROLES, None], list(ROLES)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def keys(file):
    """Keys by role; None is no key at all."""
    return {role: add_key(file, f"{role}-key", role) for role in ROLES} | {None: None}


@pytest.fixture(scope="module")
def guarded(keys, file, release):
    """An app that asks for keys."""
    chosen = {"keys_file": str(file), "anonymous": "", "state_dir": file.parent / "state"}
    app = create_app(Settings(releases=release.releases, **chosen))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def bearer(key):
    return {"authorization": f"Bearer {key}"} if key else {}


@pytest.mark.parametrize(
    ("method", "path", "body", "allowed"),
    [
        ("GET", "/livez", None, OPEN),
        ("GET", "/readyz", None, OPEN),
        ("GET", "/docs", None, OPEN),
        ("GET", "/openapi.json", None, OPEN),
        ("GET", "/metrics", None, ANY),
        ("POST", "/retrieve", QUERY, ANY),
        ("POST", "/retrieve/batch", {"users": [{}]}, ANY),
        ("POST", "/score", {"user": {}, "item_ids": []}, ANY),
        ("GET", "/scenarios", None, ["operate", "admin"]),
        ("GET", "/scenarios/default/weights", None, ["operate", "admin"]),
        ("POST", "/scenarios/default/preview", {**CHANGE, "k": 3}, ["operate", "admin"]),
        ("PUT", "/scenarios/feed/weights", CHANGE, ["operate", "admin"]),
        ("GET", "/", None, ["admin"]),
        ("GET", "/nothing", None, ["admin"]),
        ("GET", "//scenarios", None, ["admin"]),
        ("GET", "/Scenarios", None, ["admin"]),
        ("GET", "/%2e/scenarios", None, ["admin"]),
    ],
)
def test_each_path_is_open_to_the_roles_that_need_it(guarded, keys, method, path, body, allowed):
    for role, key in keys.items():
        url = "http://testserver" + path
        status = guarded.request(method, url, json=body, headers=bearer(key)).status_code
        refused = 401 if role is None else 403
        assert (status == refused) == (role not in allowed), (role, status)


def test_every_route_is_given_a_role(guarded):
    routes = [route for route in guarded.app.routes if isinstance(route, APIRoute)]
    assert {route.path.split("/")[1] for route in routes} <= set(ROLE_OF)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic {key}",
        "{key}",
        "Bearer x{key}",
        "Bearer {key} x",
        "Bearer é",
    ],
)
def test_without_a_known_key_the_answer_is_401_and_repeats_nothing(guarded, keys, header):
    sent = header.format(key=keys["admin"]).encode("latin-1")
    answer = guarded.post("/retrieve", json=QUERY, headers={b"authorization": sent})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (401, "no_valid_key")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert keys["admin"] not in answer.text


def test_a_role_that_is_too_small_is_told_which_one_it_takes(guarded, keys):
    answer = guarded.get("/scenarios", headers=bearer(keys["retrieve"]))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (403, "role_too_small")
    assert (error["value"], error["expected"]) == ("retrieve", "a key with the role operate")


def test_a_body_is_neither_read_nor_judged_before_the_key(guarded):
    def never():
        raise AssertionError("the body was read")
        yield b""

    for content in (b"no JSON", b"x" * 2_000_000, never()):
        assert guarded.post("/retrieve", content=content).status_code == 401


def test_a_key_is_accepted_and_refused_as_soon_as_the_file_says_so(guarded, file, monkeypatch):
    monkeypatch.setattr("service.access.ring.LOOK_S", 0.0)
    headers = bearer(add_key(file, "another", "retrieve"))
    assert guarded.post("/retrieve", json=QUERY, headers=headers).status_code == 200
    revoke(file, "another")
    assert guarded.post("/retrieve", json=QUERY, headers=headers).status_code == 401


def test_metrics_are_open_where_the_operator_says_so(file, keys, open_client):
    client = open_client(keys_file=str(file), anonymous="", open_metrics=True)
    assert client.get("/metrics").status_code == 200
    assert client.get("/scenarios").status_code == 401


def test_a_refused_retrieve_is_counted_under_no_scenario(guarded, keys):
    guarded.post("/retrieve", json={**QUERY, "scenario": "secret"})
    shown = guarded.get("/metrics", headers=bearer(keys["admin"])).text
    assert 'csmf_requests_total{route="/retrieve",scenario="-",status="401"}' in shown
    assert "secret" not in shown


def test_refused_callers_are_counted_by_status(guarded, keys):
    def count(status):
        shown = guarded.get("/metrics", headers=bearer(keys["admin"])).text
        found = re.search(rf'refused_callers_total{{status="{status}"}} (.*)', shown)
        return float(found[1]) if found else 0.0

    before = count(401), count(403)
    guarded.get("/scenarios")
    guarded.get("/scenarios", headers=bearer(keys["retrieve"]))
    assert (count(401), count(403)) == (before[0] + 1, before[1] + 1)


def test_a_file_that_cannot_be_read_shows_in_the_metrics_until_it_is_whole(
    open_client, tmp_path, monkeypatch
):
    monkeypatch.setattr("service.access.ring.LOOK_S", 0.0)
    own = tmp_path / "keys.json"
    headers = bearer(add_key(own, "ana", "operate"))
    client = open_client(keys_file=str(own), anonymous="")
    whole = own.read_bytes()
    for content, unreadable in ((b"{", "1.0"), (whole, "0.0")):
        own.write_bytes(content)
        shown = client.get("/metrics", headers=headers).text
        assert f"\ncsmf_keys_unreadable {unreadable}\n" in shown


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://evil.example", 403),
        ("http://127.0.0.1.evil.example:8000", 403),
        ("null", 403),
        ("http://[", 403),
        ("", 403),
        ("http://localhost:8000", 200),
        ("http://127.0.0.1:8000", 200),
        ("http://[::1]:8000", 200),
    ],
)
def test_without_keys_a_page_of_another_site_changes_nothing(reader, origin, status):
    body = {"weights": CHANGE["weights"], "k": 1}
    answer = reader.post("/scenarios/default/preview", json=body, headers={"origin": origin})
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["error"]["code"] == "foreign_page"


def test_a_change_is_logged_with_the_name_of_the_key(guarded, keys, caplog):
    caplog.set_level("INFO", "service.api.auth")
    headers = bearer(keys["operate"])
    guarded.get("/scenarios", headers=headers)
    guarded.put("/scenarios/feed/weights", json={}, headers=headers)
    guarded.put("/scenarios/feed/weights", json=CHANGE, headers=headers)
    dry_run = {"weights": CHANGE["weights"], "k": 1}
    for scenario in ("feed", "preview"):
        path = f"/scenarios/{scenario}/preview"
        status = guarded.post(path, json=dry_run, headers=headers).status_code
        assert status == (200 if scenario == "feed" else 404)
    said = [record.message for record in caplog.records if record.name == "service.api.auth"]
    assert said == ["key operate-key: PUT /scenarios/feed/weights"]
    assert not re.search("csmf_[A-Za-z0-9]", caplog.text)


def test_the_interactive_page_can_send_a_key(guarded):
    document = guarded.get("/openapi.json").json()
    assert document["security"] == [{"key": []}]
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"anonymous": ""}, "CSMF_KEYS_FILE is empty"),
        ({"host": "0.0.0.0"}, "CSMF_ANONYMOUS: expected CSMF_HOST to be a loopback address"),
        ({"host": "shop.example"}, "got shop.example"),
        ({"keys_file": "keys.json"}, "CSMF_ANONYMOUS: expected empty"),
        ({"keys_file": "/nowhere/keys.json", "anonymous": ""}, "/nowhere/keys.json: No such file"),
    ],
)
def test_who_may_call_must_be_said(chosen, says):
    with pytest.raises(KeysError, match=re.escape(says)):
        create_app(Settings(**{"anonymous": "loopback", **chosen}))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_whoever_is_on_the_machine_may_be_served_without_a_key(host):
    create_app(Settings(anonymous="loopback", host=host))
