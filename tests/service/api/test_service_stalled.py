"""Clients that do not read their answers."""

import socket
import threading

import pytest
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from support.waiting import within

from service.api import stalled

LARGE = bytes(20_000_000)  # more than sockets hold
ASK = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture
def server(monkeypatch):
    """Answers at length, to clients that have half a second to read on."""
    monkeypatch.setattr(stalled, "WRITE_S", 0.5)

    async def answer(_):
        return Response(LARGE)

    app = Starlette(routes=[Route("/", answer)])
    config = uvicorn.Config(
        app, port=0, http=stalled.UnstalledProtocol, ws="none", lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=uvloop.run, args=(server.serve(),))
    thread.start()
    assert within(10, lambda: server.started)
    yield server
    server.should_exit = True
    thread.join()


def connect(server):
    connection = socket.create_connection(server.servers[0].sockets[0].getsockname())
    connection.sendall(ASK)
    return connection


def test_an_answer_that_nobody_reads_holds_no_request(server):
    with connect(server) as connection:
        connection.sendall(ASK)  # whose answer waits for room
        assert within(10, lambda: server.server_state.tasks)
        assert within(10, lambda: not server.server_state.tasks)


def test_a_client_that_reads_slowly_gets_all_of_it(server):
    with connect(server) as connection:
        received = 0
        while received < len(LARGE):
            received += len(connection.recv(1_000_000))
