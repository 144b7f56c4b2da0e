"""The door: what a full worker refuses before and behind the parser, and half-sent requests."""

import asyncio
import json
import socket
import threading
import time
from contextlib import asynccontextmanager, contextmanager

import pytest
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from support.waiting import within

from service.api.door import ADMISSION, DRAIN, GatedProtocol
from service.api.gate import Gate, whole_request
from service.load.admission import Admission
from service.load.compute import Compute
from service.load.drain import Drain

HEAD = b"POST /retrieve HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n"
WHOLE = HEAD + b"\r\nbody"
KEEP_ALIVE_S = 1
BODY = {"user": {}, "k": 3}


class Held:
    """A server of one route that answers when told to, with places for two requests."""

    def __init__(self, places=2):
        self.admission, self.drain, self.hold = Admission(places), Drain(), threading.Event()
        self.work = self._held
        routes = [Route("/retrieve", self._answer, methods=["POST"])]
        app = Starlette(routes=routes, lifespan=self._lifespan)
        app.add_middleware(Gate, admission=self.admission, default_ms=0)
        more = {"ws": "none", "log_config": None, "timeout_keep_alive": KEEP_ALIVE_S}
        self._server = uvicorn.Server(uvicorn.Config(app, port=0, http=GatedProtocol, **more))
        self._thread = threading.Thread(target=uvloop.run, args=(self._server.serve(),))

    @asynccontextmanager
    async def _lifespan(self, _):
        self.loop = asyncio.get_running_loop()
        yield {ADMISSION: self.admission, DRAIN: self.drain}

    async def _answer(self, request):
        await request.body()
        await self.work()
        return PlainTextResponse("done")

    async def _held(self):
        await asyncio.to_thread(self.hold.wait, 10)

    def start(self):
        self._thread.start()
        assert within(10, lambda: self._server.started)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self):
        self.hold.set()
        self._server.should_exit = True
        self._thread.join()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    @contextmanager
    def full(self):
        """Two requests hold its places meanwhile."""
        with self.connect() as one, self.connect() as other:
            one.sendall(WHOLE)
            other.sendall(WHOLE)
            assert within(10, lambda: self.admission.in_flight == 2)
            yield
            self.hold.set()
            assert [status(answer(held)) for held in (one, other)] == [200, 200]


@pytest.fixture
def held():
    server = Held()
    server.start()
    yield server
    server.stop()


def answer(connection):
    """One answer: its head and its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536) or b"\r\n\r\n"
    top, _, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in top.lower().split(b"\r\n") if line.startswith(b"content-length")]
    while lengths and len(body) < int(lengths[0].split(b":")[1]):
        body += connection.recv(65_536)
    return top, body


def status(got):
    return int(got[0].split()[1])


def test_a_full_worker_refuses_unparsed_and_keeps_the_connection(held):
    with held.connect() as connection:
        with held.full():
            for _ in range(3):
                connection.sendall(WHOLE)
                top, body = answer(connection)
                assert top.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
                assert b"\r\nretry-after: 1" in top
                assert json.loads(body)["error"]["code"] == "overloaded"
            assert held.admission.unparsed["/retrieve"] == 3
        assert within(5, lambda: held.admission.in_flight == 0)
        connection.sendall(WHOLE)
        assert status(answer(connection)) == 200


@pytest.mark.parametrize(
    "parts",
    [
        [HEAD + b"\r\n", b"body"],
        [HEAD[:20], HEAD[20:] + b"\r\nbody"],
        [HEAD.replace(b"content-length: 4", b"transfer-encoding: chunked") + b"\r\n0\r\n\r\n"],
        [HEAD + b"connection: close\r\n\r\nbody"],
        [HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\nbody"],
        [HEAD.replace(b"/retrieve", b"/retrieve%0A") + b"\r\nbody"],
    ],
)
def test_however_a_request_comes_a_full_worker_gives_the_same_answer(held, parts):
    with held.full(), held.connect() as connection, held.connect() as plain:
        plain.sendall(WHOLE)
        for part in parts:
            connection.sendall(part)
            time.sleep(0.1)
        refused = answer(connection)
        assert (status(refused), refused[1]) == (503, answer(plain)[1])
        assert held.admission.counts["full"] == 2
        assert held.admission.unparsed.total() == 1


def test_what_looks_like_a_request_in_the_middle_of_a_head_is_none(held):
    with held.full(), held.connect() as connection:
        connection.sendall(b"PUT /elsewhere HTTP/1.1\r\nhost: x\r\na: x")
        time.sleep(0.1)
        connection.sendall(WHOLE)
        assert status(answer(connection)) == 404
        assert held.admission.unparsed.total() == 0
        connection.sendall(WHOLE)
        assert status(answer(connection)) == 503


def test_two_requests_in_one_piece_are_both_answered(held):
    with held.full(), held.connect() as connection:
        connection.sendall(WHOLE + WHOLE)
        received = b""
        while received.count(b"HTTP/1.1 503") < 2:
            received += connection.recv(65_536)


def test_what_comes_in_one_turn_of_the_loop_does_not_find_the_worker_empty(held):
    connections = [held.connect() for _ in range(20)]
    held.loop.call_soon_threadsafe(time.sleep, 0.3)
    for connection in connections:
        connection.sendall(WHOLE)
    assert within(10, lambda: held.admission.counts["full"] == 18)
    assert held.admission.unparsed["/retrieve"] == 18
    held.hold.set()
    assert (
        sorted(status(answer(connection)) for connection in connections) == [200] * 2 + [503] * 18
    )
    assert held.admission.coming == 0
    for connection in connections:
        connection.close()


def test_a_refused_connection_that_falls_silent_is_closed_like_any_other(held):
    with held.full(), held.connect() as connection:
        connection.sendall(WHOLE)
        answer(connection)
        assert connection.recv(1) == b""


def test_a_worker_that_leaves_refuses_in_the_app_which_closes_connections(held):
    held.drain.draining = True
    with held.full(), held.connect() as connection:
        connection.sendall(WHOLE)
        assert status(answer(connection)) == 503
        assert held.admission.unparsed.total() == 0


def test_half_a_request_keeps_nobody_out_and_its_time_is_not_taken_for_an_answers(held):
    slow = [held.connect() for _ in range(20)]
    for connection in slow:
        connection.sendall(WHOLE[:-1])
    time.sleep(0.5)
    assert held.admission.in_flight == 0
    held.hold.set()
    with held.connect() as connection:
        for _ in range(10):
            connection.sendall(WHOLE)
            assert status(answer(connection)) == 200
    slow[0].sendall(WHOLE[-1:])
    assert status(answer(slow[0])) == 200
    assert held.admission.service_s < 0.4
    for connection in slow:
        connection.close()


def test_more_half_sent_requests_than_a_worker_has_places_for_keep_nobody_out(serve):
    service = serve("--max-in-flight", "4")
    address = ("127.0.0.1", service.port)
    halves = [HEAD + b"\r\n", HEAD + b"\r\nbod"] * 10
    slow = [socket.create_connection(address, timeout=10) for _ in halves]
    for connection, half in zip(slow, halves, strict=True):
        connection.sendall(half)
    for _ in range(30):
        assert service.call("POST", "/retrieve", BODY)[0] == 200
    assert "csmf_in_flight_limit 4.0" in service.metrics()
    for connection in slow:
        connection.close()


@pytest.mark.parametrize(
    ("data", "route"),
    [
        (WHOLE, "/retrieve"),
        (WHOLE.replace(b"/retrieve", b"/retrieve/batch"), "/retrieve/batch"),
        (WHOLE.replace(b"content-length:", b"Content-Length:"), "/retrieve"),
        (WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"), "/retrieve"),
        (WHOLE.replace(b"host: x", b"connection: keep-alive"), "/retrieve"),
        (WHOLE.replace(b"host: x", b"connection: keep-alive, upgrade"), None),
        (WHOLE.replace(b"host: x", b"connection: keep-alive\r\nconnection: close"), None),
        (WHOLE[:-1], None),
        (WHOLE + b"x", None),
        (WHOLE.replace(b"POST", b"GET"), None),
        (WHOLE.replace(b"/retrieve", b"/retrieve?x=1"), None),
        (WHOLE.replace(b"/retrieve", b"/metrics"), None),
        (WHOLE.replace(b"\r\n\r\n", b"\r\nContent-Length: 4\r\n\r\n"), None),
        (WHOLE.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"), None),
        (WHOLE.replace(b"length: 4", b"length: -4"), None),
        (WHOLE.replace(b"length: 4", b"length: 4, 4"), None),
        (WHOLE.replace(b"length: 4", b"length: " + b"4" * 5000), None),
        (WHOLE.replace(b"content-length: 4\r\n", b""), None),
        (HEAD, None),
        (b"", None),
    ],
)
def test_only_one_whole_and_plain_request_is_recognised(data, route):
    assert whole_request(data) == route


def test_what_nobody_waits_for_any_more_is_not_computed():
    held, computed = Held(places=9), []
    held.start()

    def job(_):
        computed.append(len(computed))
        time.sleep(0.5)  # on the loop: what comes meanwhile is seen after it

    compute = Compute(9, held.admission)
    with held.connect() as first, held.connect() as second, held.connect() as third:
        held.hold.set()
        for known in (first, second, third):
            known.sendall(WHOLE)
            assert status(answer(known)) == 200
        held.work = lambda: compute.briefly(job)
        first.sendall(WHOLE)
        assert within(10, lambda: computed)
        second.sendall(WHOLE)
        third.sendall(WHOLE)
        third.close()
        assert [status(answer(each)) for each in (first, second)] == [200, 200]
        assert within(10, lambda: held.admission.in_flight == 0)
    held.stop()
    assert (computed, held.admission.counts) == ([0, 1], {"gone": 1})
