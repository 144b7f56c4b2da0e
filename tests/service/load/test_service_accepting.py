"""New connections are divided among the workers, and none waits for a worker that is gone."""

import asyncio
import os
import re
import signal
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path

import pytest
from support.tls import self_signed
from support.waiting import within

from service.load.accepting import LOOK_S, PATIENCE, AcceptingLoop, Acceptor
from service.load.connections import Connections

ESTABLISHED = "01"
LIVEZ = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"


def workers_of(service):
    """Process ids."""
    parent = service.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def held(service):
    """Connections to the service that each worker holds, by process id."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f":{service.port:04X}"
    inodes = {each[9] for each in lines if each[1].endswith(port) and each[3] == ESTABLISHED}
    counts = {}
    for pid in workers_of(service):
        links = map(read_link, Path(f"/proc/{pid}/fd").iterdir())
        counts[pid] = sum(found[0] in inodes for each in links if (found := inodes_of(each)))
    return counts


def read_link(file):
    """Where it leads; nowhere if it was closed meanwhile."""
    with suppress(FileNotFoundError):
        return str(file.readlink())
    return ""


def inodes_of(link):
    return re.findall(r"socket:\[(\d+)\]", link)


def connect(service, count, pause=0.0):
    made = []
    for _ in range(count):
        made.append(socket.create_connection(("127.0.0.1", service.port), 10))
        time.sleep(pause)
    return made


def answered(connections):
    """Whether each of them is served."""
    for connection in connections:
        connection.sendall(LIVEZ)
    return all(connection.recv(4096).startswith(b"HTTP/1.1 200") for connection in connections)


def wait_until_all_listen(service, workers):
    """A service is ready with its first worker: until each of them took a connection."""
    tried = []

    def all_took_one():
        tried.extend(connect(service, 1, pause=0.05))
        counts = held(service).values()
        return len(counts) == workers and all(counts)

    assert within(60, all_took_one)
    for connection in tried:
        connection.close()
    assert within(10, lambda: not any(held(service).values()))


def test_connections_are_divided_evenly_however_they_come(serve):
    service = serve("--workers", "2")
    wait_until_all_listen(service, 2)
    slowly = connect(service, 12, pause=0.05)  # all workers are asleep each time
    assert answered(slowly)
    assert within(5, lambda: sum(held(service).values()) == 12)
    assert max(held(service).values()) <= 7
    at_once = connect(service, 100)
    assert answered(at_once)
    assert max(held(service).values()) <= 70
    for connection in (*slowly, *at_once):
        connection.close()


def test_while_a_worker_is_gone_the_other_takes_all(serve):
    service = serve("--workers", "2")
    wait_until_all_listen(service, 2)
    kept = connect(service, 8, pause=0.02)
    assert answered(kept)
    gone, *_ = workers_of(service)
    os.kill(int(gone), signal.SIGKILL)
    began = time.monotonic()
    assert answered(connect(service, 20))
    assert time.monotonic() - began < 5
    assert within(30, lambda: len(workers_of(service)) == 2 and gone not in workers_of(service))
    came = set(workers_of(service)) - {gone}

    def divided():
        kept.extend(connect(service, 1, pause=0.05))
        return min(held(service)[pid] for pid in came) > 5

    assert within(30, divided)


class Talking(asyncio.Protocol):
    """Says that it was reached."""

    def connection_made(self, transport):
        nodelay = transport.get_extra_info("socket").getsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY
        )
        transport.write(b"nodelay" if nodelay else b"delayed")


@pytest.fixture
def loop():
    loop = AcceptingLoop()
    yield loop
    loop.close()


def listening():
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setblocking(False)
    return bound


def test_a_worker_waits_for_one_with_fewer_but_not_for_ever(loop):
    counts = [0, 1]  # the other one is there and never comes
    mine = Connections(counts, 0)
    listens = listening()
    acceptor = Acceptor(loop, listens, Talking, None, mine)

    async def reach():
        mine.add(3)
        began = loop.time()
        reader, writer = await asyncio.open_connection(*listens.getsockname())
        said = await reader.read(7)
        writer.close()
        return said, loop.time() - began

    said, seconds = loop.run_until_complete(reach())
    assert said == b"nodelay"
    assert seconds >= LOOK_S * (PATIENCE - 1)
    acceptor.close()
    assert counts == [0, 1]


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b""])
def test_who_does_not_shake_hands_is_counted_no_more(loop, tmp_path, monkeypatch, said):
    monkeypatch.setattr("service.load.accepting.HANDSHAKE_S", 0.2)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*self_signed(tmp_path))
    counts = [0]
    listens = listening()
    acceptor = Acceptor(loop, listens, Talking, tls, Connections(counts, 0))

    async def refuse():
        reader, writer = await asyncio.open_connection(*listens.getsockname())
        writer.write(said)
        await reader.read()
        writer.close()
        await acceptor.wait_closed()

    loop.run_until_complete(refuse())
    assert counts == [1]
    acceptor.close()


def test_without_descriptors_for_more_it_tries_again(loop, monkeypatch, caplog):
    monkeypatch.setattr("service.load.accepting.EXHAUSTED_S", 0.05)
    listens = Exhausted(listening())
    acceptor = Acceptor(loop, listens, Talking, None, Connections([0], 0))

    async def reach():
        reader, _ = await asyncio.open_connection(*listens.getsockname())
        return await reader.read(7)

    assert loop.run_until_complete(reach()) == b"nodelay"
    assert "no new connections" in caplog.text
    acceptor.close()


class Exhausted:
    """A listening socket whose first accept finds no descriptor."""

    def __init__(self, listens):
        self._listens, self._failed = listens, False

    def accept(self):
        if not self._failed:
            self._failed = True
            raise OSError(24, "Too many open files")
        return self._listens.accept()

    def __getattr__(self, name):
        return getattr(self._listens, name)
