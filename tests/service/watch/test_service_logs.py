"""The log of a real csmf-serve: which lines, in which form, and what is in none of them."""

import json
import re
import urllib.error
import urllib.request

CANARY = "nobody-may-read-this"
ASKED = [
    ("/retrieve", {"user": {"user_id": CANARY, "hour": 3, CANARY: 1}, "exclude": [CANARY]}),
    ("/retrieve", {"user": {"age": CANARY}}),
    ("/retrieve", {"user": {}, "scenario": CANARY}),
    ("/score", {"user": {"user_id": CANARY}, "item_ids": [CANARY]}),
    (f"/{CANARY}?user={CANARY}", {}),
    (f"/scenarios/{CANARY}/weights?user={CANARY}", None),
]
LOGGED = [
    "POST /retrieve 200",
    "POST /retrieve 422",
    "POST /retrieve 404",
    "POST /score 200",
    "POST - 404",
    "GET /scenarios/{name}/weights 404",
]


def ids_and_log(serve, form):
    """The ids that those requests were answered with, and all that the service wrote."""
    service = serve(CSMF_LOG_FORMAT=form, CSMF_ACCESS_LOG="true", CSMF_LOG_LEVEL="debug")
    ids = [ask(service.url + path, body) for path, body in ASKED]
    service.stop()
    return ids, service.log.read_text()


def ask(url, body):
    content = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "user-agent": CANARY, "cookie": CANARY}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, content, headers), timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.headers["x-request-id"]


def test_each_request_has_its_line_and_no_line_has_a_users_values(serve):
    ids, log = ids_and_log(serve, "text")
    found = re.findall(r"^\S+ \S+ INFO \[\d+ (\w+)\] service\.api\.\w+: (.*) in", log, re.MULTILINE)
    said = dict(found)
    assert [said[request_id] for request_id in ids] == LOGGED
    assert CANARY not in log


def test_in_json_each_line_is_an_object_also_those_of_the_server(serve):
    ids, log = ids_and_log(serve, "json")
    lines = list(map(json.loads, log.splitlines()))
    for line in lines:
        assert line.keys() >= {"time", "level", "logger", "process", "message"}
    assert {line["logger"].split(".")[0] for line in lines} >= {"service", "uvicorn"}
    said = {line["request_id"]: line for line in lines if "route" in line}
    parts = [
        [said[request_id][name] for name in ("method", "route", "status")] for request_id in ids
    ]
    assert [" ".join(map(str, part)) for part in parts] == LOGGED
    assert CANARY not in log
