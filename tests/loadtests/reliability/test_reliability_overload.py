"""The open-loop client charges a service for every request that was due; the experiment runs."""

import json
import socket
import threading
import time

import pytest
from support.release import add_exact_index, make_release

from loadtests.reliability.__main__ import main
from loadtests.reliability.openloop import Client, Offer

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{" + b'"effort":0.500}'
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}"


class Service(threading.Thread):
    """Answers as it is told; at the tenth request it stands still for a while if told to."""

    def __init__(self, answers=(OK,), stall=0.0):
        super().__init__(daemon=True)
        self._answers, self._stall, self._asked = answers, stall, 0
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self.start()

    def run(self):
        while True:
            connection, _ = self._listening.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        while connection.recv(65_536):
            with self._lock:  # held through a stall, so that all wait
                self._asked += 1
                if self._asked == 10:
                    time.sleep(self._stall)
                answer = self._answers[self._asked % len(self._answers)]
            for part in (answer[:30], answer[30:]):
                connection.sendall(part)


def figures(service, **offered):
    offer = {"path": "/", "bodies": ["{}"], "seconds": 1.0, "unmeasured": 0.0, "rate": 50.0}
    return Client(Offer(service.port, **{**offer, **offered})).run()


def test_requests_come_at_the_rate_offered_and_all_are_counted():
    seen = figures(Service())
    assert 25 <= seen["requests"] <= 80
    assert seen["failed"] == 0
    assert seen["effort"] == 0.5


def test_a_stall_is_charged_for_all_who_were_due_meanwhile():
    steady, stalled = figures(Service()), figures(Service(stall=0.6))
    assert stalled["requests"] == steady["requests"]  # the same times, whatever the service did
    assert stalled["p99_ms"] > 450
    assert stalled["p50_ms"] > 100


def test_answers_and_refusals_are_told_apart():
    seen = figures(Service([OK, REFUSED, REFUSED]))
    assert seen["refused"] == pytest.approx(2 / 3 * seen["requests"], abs=2)
    assert seen["goodput_per_s"] == pytest.approx(seen["requests"] - seen["refused"], abs=0.1)


def test_clients_that_never_pause_measure_capacity():
    seen = figures(Service(), rate=0.0, at_once=4, seconds=0.5)
    assert seen["requests"] > 20
    assert seen["failed"] == 0


def test_an_overloaded_worker_answers_some_refuses_the_rest_and_fails_none(tmp_path):
    made = make_release(tmp_path / "made")
    add_exact_index(made)
    flags = ["--loads", "5", "--seconds", "0.8", "--settle", "0.2", "--k", "20"]
    flags += ["--rounds", "2"]
    places = ["--releases", str(made.releases), "--work", str(tmp_path), "--out", str(tmp_path)]
    assert main(["overload", *flags, *places]) in {0, 1}  # no verdict on a machine that is shared
    document = json.loads((tmp_path / "overload.json").read_text())
    seen = document["figures"]
    assert seen["failed"] == 0
    assert seen["capacity_per_s"] > 0
    for service in ("full", "steps"):
        assert seen[f"{service}_5x_goodput_per_s"] > 0
        assert seen[f"{service}_5x_refused"] > 0
    assert {entry["figure"] for entry in document["thresholds"]} > {"steps_5x_p99_of_unloaded"}
    assert (tmp_path / "overload.png").stat().st_size > 10_000
