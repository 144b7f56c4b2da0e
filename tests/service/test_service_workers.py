"""A real csmf-serve with two workers: one answer to the outside, whichever worker gives it."""

import http.client
import json
import os
import re
import signal
import socket
import time

import pytest

PAPER = {"exposure": 1.0, "click": 1.8, "conversion": 1.2}
QUERY = {"user": {"user_id": "u00001"}, "k": 3, "scenario": "feed"}
PROPAGATION_S = 0.1


def put(service, weights=PAPER, **fields):
    body = {"weights": weights, "author": "ana", "reason": "try it", **fields}
    status, change = service.call("PUT", "/scenarios/feed/weights", body)
    assert status == 200, change
    return change["current"]["version"]


def metric(text, name):
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE).group(1))


class Asker:
    """One connection kept open, hence one and the same worker."""

    def __init__(self, service):
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
        self._connection.connect()

    def version(self):
        self._connection.request(
            "POST", "/retrieve", json.dumps(QUERY), {"content-type": "application/json"}
        )
        return json.load(self._connection.getresponse())["weights_version"]

    def wait_for(self, version, deadline):
        while self.version() != version:
            assert time.monotonic() < deadline, "the new weights were not served in time"


@pytest.mark.parametrize("kind", ["embedded", "redis"])
def test_new_weights_are_served_by_every_worker_within_100_ms(kind, serve, request):
    url = request.getfixturevalue("empty_redis").url if kind == "redis" else ""
    service = serve("--workers", "2", CSMF_REDIS_URL=url)
    wait_for_workers(service, 2)
    put(service)
    time.sleep(0.5)  # until both workers know the new scenario
    askers = [Asker(service) for _ in range(8)]  # connections spread over both workers
    for _ in range(5):
        version = put(service)
        answered = time.monotonic()
        for asker in askers:
            asker.wait_for(version, answered + PROPAGATION_S)
    assert metric(service.metrics(), 'csmf_weights_version{scenario="feed"}') == version


def test_a_scrape_shows_all_workers_and_forgets_one_that_was_killed(serve):
    service = serve("--workers", "2")
    wait_for_workers(service, 2)
    put(service)
    for _ in range(20):
        assert service.call("POST", "/retrieve", QUERY)[0] in (200, 404)
    assert answered(service) == 20
    first, second = worker_ids(service)
    os.kill(first, signal.SIGKILL)
    wait_for_workers(service, 1)
    assert answered(service) == 20
    deadline = time.monotonic() + 60
    while len(worker_ids(service)) < 3:  # the supervisor starts a new one
        assert time.monotonic() < deadline
        time.sleep(0.1)
    wait_for_workers(service, 2)
    assert second in worker_ids(service)


def test_a_worker_that_dies_while_its_health_is_asked_for_is_replaced_at_once(serve):
    """Stopped, it cannot answer the supervisor, who waits for it: then it is killed."""
    service = serve("--workers", "2")
    wait_for_workers(service, 2)
    first, second = worker_ids(service)
    os.kill(first, signal.SIGSTOP)
    time.sleep(2)  # the supervisor asks every half second
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while len(worker_ids(service)) < 3:
        assert time.monotonic() < deadline, "its place stayed empty"
        time.sleep(0.1)
    assert second in worker_ids(service)


def worker_ids(service):
    """Process ids of all workers that ever served."""
    started = re.findall(r"\[(\d+)\] service\.app: serving", service.log.read_text())
    return list(map(int, started))


def wait_for_workers(service, count):
    """That hold the pair, and have said that they serve it, which they do a moment later."""
    loaded = 'csmf_snapshot_workers{build_id="b1",run_id="tiny"}'
    deadline = time.monotonic() + 60
    while metric(service.metrics(), loaded) != count or len(worker_ids(service)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answered(service):
    counts = re.findall(
        r'^csmf_requests_total\{route="/retrieve".*\} (\S+)$', service.metrics(), re.MULTILINE
    )
    return sum(map(float, counts))


def test_sigterm_answers_what_is_under_way_and_exits_with_0(serve):
    service = serve("--workers", "2")
    body = json.dumps({**QUERY, "scenario": "default"}).encode()
    under_way = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    under_way.putrequest("POST", "/retrieve")
    under_way.putheader("content-type", "application/json")
    under_way.putheader("content-length", str(len(body)))
    under_way.endheaders(body[:10])
    time.sleep(0.5)
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    under_way.send(body[10:])
    response = under_way.getresponse()
    assert (response.status, len(json.load(response)["item_ids"])) == (200, 3)
    assert service.process.wait(timeout=20) == 0


def test_weights_in_the_local_file_survive_a_restart(serve):
    first = serve()
    put(first)
    first.stop()
    second = serve()
    assert second.call("GET", "/scenarios/feed/weights")[1]["version"] == 1


@pytest.mark.parametrize(
    ("flags", "environment", "says"),
    [
        (["--port", "http"], {}, "error: CSMF_PORT: Input should be a valid integer"),
        ([], {"CSMF_WORKERS": "0"}, "error: CSMF_WORKERS: Input should be greater than"),
        ([], {"CSMF_LOG_LEVEL": "loud"}, "error: CSMF_LOG_LEVEL:"),
        ([], {"CSMF_RELEASES_POLL_S": "inf"}, "error: CSMF_RELEASES_POLL_S: Input should be less"),
        (["--releases", "/nowhere"], {}, "csmf-index --release"),
        (["--pin", "tiny"], {}, "error: CSMF_PIN:"),
        (["--pin", "tiny/b9"], {}, "index/b9/index.json: expected a regular file"),
        (["--min-items", "301"], {}, "expected at least 301 items, found 300"),
        (["--state-dir", "/proc/none"], {}, "error: weights file /proc/none"),
        ([], {"CSMF_REDIS_URL": "localhost:6379"}, "expected redis://host:6379/0"),
        ([], {"CSMF_FEATURES_URL": "localhost:6379"}, "CSMF_FEATURES_URL: expected redis://"),
    ],
)
def test_a_service_that_cannot_start_says_why_in_one_line_and_exits_with_2(
    serve, flags, environment, says
):
    service = serve(*flags, wait=False, **environment)
    assert service.process.wait(timeout=60) == 2
    (line,) = service.log.read_text().splitlines()
    assert line.startswith("error: ")
    assert says in line


def test_a_port_that_is_taken_is_refused_in_one_line(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = serve("--port", str(port), wait=False)
        assert service.process.wait(timeout=60) == 2
    says = f"error: --port: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    assert service.log.read_text() == says


def test_a_misspelt_setting_is_reported(serve):
    service = serve("--releases", "/nowhere", wait=False, CSMF_REDIS_ULR="redis://away")
    service.process.wait(timeout=60)
    assert "CSMF_REDIS_ULR is no setting and is ignored" in service.log.read_text()
