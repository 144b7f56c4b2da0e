"""A service that is told to end: at once not ready, gone later, no request left unanswered."""

import http.client
import json
import signal
import socket
import threading
import time

from support.waiting import within

QUERY = json.dumps({"user": {"user_id": "u00001"}, "k": 3})
JSON = {"content-type": "application/json"}


def ask(connection):
    connection.request("POST", "/retrieve", QUERY, JSON)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read()), answer.getheader("connection")


def connect(service):
    return http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)


class Balanced(threading.Thread):
    """A client behind a balancer: it sends until it hears that the service is not ready."""

    def __init__(self, service):
        super().__init__()
        self.service, self.ready = service, True
        self.statuses, self.failures = [], []

    def run(self):
        connection = connect(self.service)
        while self.ready:
            try:
                self.statuses.append(ask(connection)[0])
            except (OSError, http.client.HTTPException) as failure:
                self.failures.append(failure)


def test_clients_that_follow_readyz_lose_no_answer_and_the_command_exits_with_0(serve):
    service = serve("--workers", "2", "--drain-delay-s", "1.5")
    clients = [Balanced(service) for _ in range(4)]
    for client in clients:
        client.start()
    time.sleep(0.5)
    service.process.send_signal(signal.SIGTERM)
    assert within(1.4, lambda: service.call("GET", "/readyz")[0] == 503)
    assert service.call("GET", "/readyz")[1]["error"]["code"] == "shutting_down"
    before = sum(len(client.statuses) for client in clients)
    time.sleep(0.3)  # the balancer's own delay
    for client in clients:
        client.ready = False
        client.join()
    assert service.process.wait(timeout=20) == 0
    assert [client.failures for client in clients] == [[]] * 4
    assert {status for client in clients for status in client.statuses} == {200}
    assert sum(len(client.statuses) for client in clients) > before


def test_an_answer_of_a_service_that_is_leaving_closes_its_connection(serve):
    service = serve("--drain-delay-s", "1")
    connection = connect(service)
    assert ask(connection)[2] is None
    service.process.send_signal(signal.SIGTERM)
    assert within(0.9, lambda: service.call("GET", "/readyz")[0] == 503)
    assert ask(connection)[2] == "close"


def test_a_second_sigterm_does_not_cut_the_delay_short(serve):
    service = serve("--drain-delay-s", "1")
    began = time.monotonic()
    for _ in range(2):
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    assert ask(connect(service))[0] == 200
    assert service.process.wait(timeout=20) == 0
    assert time.monotonic() - began > 1


def test_workers_end_with_a_parent_that_was_killed_so_that_the_port_is_free_again(serve):
    service = serve("--workers", "2")
    service.process.kill()
    service.process.wait()
    assert within(10, lambda: refused(service.port))


def refused(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
