"""What reaches the port before it is a request: bounded in size and time, refused in one form."""

import asyncio
import json
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from support.waiting import within

from service.api import head
from service.api.middleware import LimitBody

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n"
WAIT_S = 0.5


@pytest.fixture
def port(monkeypatch):
    """An app that reads its body, behind the protocol and the bound of the service."""
    monkeypatch.setattr(head, "READ_S", WAIT_S)

    async def echo(request):
        if "x-hold" in request.headers:
            await asyncio.sleep(WAIT_S)
        try:
            said = {"x-said": request.headers.get("x-say", "nothing")}
            return PlainTextResponse(await request.body(), headers=said)
        except ClientDisconnect:  # as FastAPI does
            return PlainTextResponse("", 400)

    async def refused(_, error):
        return PlainTextResponse(error.detail, error.status_code, error.headers)

    app = Starlette(
        routes=[Route("/", echo, methods=["POST"])], exception_handlers={HTTPException: refused}
    )
    app.add_middleware(LimitBody, max_bytes=1000, most=2)
    more = {"ws": "none", "lifespan": "off", "log_config": None, "timeout_keep_alive": 1}
    config = uvicorn.Config(app, port=0, http=head.BoundedProtocol, **more)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=uvloop.run, args=(server.serve(),))
    thread.start()
    assert within(10, lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def exchange(port, *parts, pause=0.0):
    """All that is answered until the connection is closed; parts are sent with pauses between."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:
                break  # refused already
            time.sleep(pause)
        return read(connection)


def read(connection):
    answer = b""
    try:
        while part := connection.recv(65_536):
            answer += part
    except ConnectionResetError:
        pass
    return answer


def refusal(answer):
    top, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in top
    assert b"\r\ncontent-type: application/json" in top
    error = json.loads(body)["error"]
    return int(top.split()[1]), error["code"], error["field"]


@pytest.mark.parametrize(
    "parts",
    [
        [HEAD + b"a: " + b"x" * 200_000],
        [HEAD, *[b"a: " + b"x" * 1000 + b"\r\n"] * 200],
        [b"GET /" + b"x" * 200_000],
    ],
)
def test_a_head_without_end_is_refused_by_its_size(port, parts):
    assert refusal(exchange(port, *parts, pause=0.0001)) == (431, "head_too_large", "head")


@pytest.mark.parametrize("part", [b"", b"\r\n\r\n", b"POST", HEAD, HEAD + b"authorization: Bea"])
def test_a_head_that_does_not_come_is_refused_by_its_time(port, part):
    began = time.monotonic()
    assert refusal(exchange(port, part)) == (408, "too_slow", "head")
    assert WAIT_S / 2 < time.monotonic() - began < WAIT_S + 2


def test_a_head_that_drips_is_not_given_more_time(port):
    drops = [HEAD, *[b"a: b\r\n"] * 20]
    assert refusal(exchange(port, *drops, pause=WAIT_S / 5)) == (408, "too_slow", "head")


def test_a_body_that_does_not_come_is_refused_by_its_time(port):
    answer = exchange(port, HEAD + b"\r\n", b"bo")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b"all of it within 0.5 seconds")


def test_of_too_many_bodies_that_are_on_their_way_the_oldest_gives_way(port):
    connections = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(3)]
    began = time.monotonic()
    for connection in connections:
        connection.sendall(HEAD + b"connection: close\r\n\r\nbo")
        time.sleep(WAIT_S / 20)
    oldest, *others = connections
    assert read(oldest).endswith(b"all of it sooner: many others wait, too")
    assert time.monotonic() - began < WAIT_S
    for connection in others:
        connection.sendall(b"dy")
        assert read(connection).endswith(b"\r\n\r\nbody")
    for connection in connections:
        connection.close()


def test_a_body_that_comes_drop_by_drop_gives_way_itself(port):
    slow, *others = (socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(3))
    slow.sendall(HEAD.replace(b": 4", b": 900") + b"\r\nx")
    for other in others:
        time.sleep(WAIT_S / 20)
        other.sendall(HEAD + b"connection: close\r\n\r\nbo")
    assert read(slow).startswith(b"HTTP/1.1 408 ")
    for other in others:
        other.sendall(b"dy")
        assert read(other).endswith(b"\r\n\r\nbody")
    for connection in (slow, *others):
        connection.close()


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01", b"hello\r\n\r\n", b"\x00" * 100])
def test_what_is_no_http_is_refused_like_everything_else(port, sent):
    assert refusal(exchange(port, sent)) == (400, "not_http", "request")


def test_a_request_that_comes_in_pieces_is_answered(port):
    pieces = [HEAD[:10], HEAD[10:], b"connection: close\r\n\r\n", b"bo", b"dy"]
    assert exchange(port, *pieces, pause=WAIT_S / 10).endswith(b"\r\n\r\nbody")


def test_requests_one_after_the_other_each_have_their_own_time(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for _ in range(4):
            connection.sendall(HEAD)
            time.sleep(WAIT_S / 2)
            connection.sendall(b"\r\nbody")
            answer = b""
            while not answer.endswith(b"body"):
                answer += connection.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 200 ")


UPGRADING = (
    HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
)


@pytest.mark.parametrize("parts", [[UPGRADING + b"body"], [UPGRADING, b"body"]])
def test_an_offer_to_speak_another_protocol_is_passed_over(port, parts):
    last = HEAD + b"connection: close\r\n\r\nlast"
    answer = exchange(port, *parts, *parts, last, pause=WAIT_S / 10)
    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert answer.count(b"\r\n\r\nbody") == 2


def test_a_body_keeps_what_looks_like_an_offer(port):
    body = b"--x\r\nUpgrade: h2c\r\n\r\nx"
    length = HEAD.replace(b": 4", b": %d" % len(body)) + b"connection: close\r\n\r\n"
    for parts in ([length + body], [length, body]):
        assert exchange(port, *parts, pause=WAIT_S / 10).endswith(b"\r\n\r\n" + body)


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "more",
    [
        b"4\r\nbody\r\n0\r\n" + b"a: b\r\n" * 200_000 + b"\r\n",
        b"4;" + b"x" * 1_000_000 + b"\r\nbody\r\n0\r\n\r\n",
    ],
)
def test_what_is_neither_head_nor_body_is_bounded_like_a_head(port, more):
    assert exchange(port, CHUNKED, more, pause=WAIT_S / 10) == b""


def test_a_body_in_many_small_chunks_is_answered(port):
    body = b"1\r\nx\r\n" * 900 + b"0\r\n\r\n"
    assert exchange(port, CHUNKED, body, pause=WAIT_S / 10).endswith(b"\r\n\r\n" + b"x" * 900)


def test_fields_behind_a_body_are_not_added_to_the_head(port):
    assert b"x-said: nothing" in exchange(port, CHUNKED + b"0\r\nx-say: this\r\n\r\n")


def test_what_follows_a_refusal_is_not_read_for_ever(port):
    endless = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n"
    began = time.monotonic()
    answer = exchange(port, endless, *[b"x" * 100] * 200, pause=WAIT_S / 20)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - began < 5


def test_requests_that_are_followed_by_no_http_are_dropped_without_an_error(port, caplog):
    held = HEAD + b"x-hold: yes\r\n\r\nbody"
    assert exchange(port, held * 2 + b"hello\r\n\r\n") == b""
    time.sleep(2 * WAIT_S)
    assert exchange(port, HEAD, b"connection: close\r\n\r\nbody").endswith(b"\r\n\r\nbody")
    assert "Exception" not in caplog.text


def test_bytes_of_any_kind_are_answered_or_dropped_and_harm_nothing(port, caplog):
    chance = random.Random(1)
    whole = HEAD + b"expect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\nbody"

    def spoilt():
        if chance.random() < 0.3:
            return chance.randbytes(chance.randrange(1, 2000))
        request = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(request))
            request[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
        return bytes(request)

    sent = [spoilt() for _ in range(300)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda each: exchange(port, each), sent))
    statuses = {int(answer.split()[1]) for answer in answers if answer}
    assert {400, 408} <= statuses
    assert not [status for status in statuses if status >= 500]
    assert "Exception" not in caplog.text
    pieces = [HEAD, b"connection: close\r\n\r\nbody"]
    assert exchange(port, *pieces).endswith(b"\r\n\r\nbody")
