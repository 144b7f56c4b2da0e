"""A real csmf-serve that asks for keys and speaks TLS, and the clients of this project."""

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.tls import self_signed
from support.waiting import within

from service.access.keys import add_key
from service.operators.client import call

ROOT = Path(__file__).parents[2]
SET = [
    "service.operators.cli",
    "set",
    "feed",
    "k_d=1",
    "k_o=1",
    "k_r=1",
    "--reason",
    "x",
    "--author",
    "ana",
]


@pytest.fixture
def keys(tmp_path):
    return tmp_path / "keys.json"


@pytest.fixture
def certificate(tmp_path):
    return self_signed(tmp_path)


def answers(service, path, key=None, context=None):
    """The status of a GET; 0 where nobody answers."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(service.url + path, headers=headers)
    try:
        return urllib.request.urlopen(request, timeout=5, context=context).status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def run(*words, **environment):
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_operators_and_load_tests_bring_their_key_in_the_environment(serve, keys, tmp_path):
    add_key(keys, "first", "admin")
    service = serve(CSMF_ANONYMOUS="", CSMF_KEYS_FILE=str(keys))
    refused = run(*SET, "--url", service.url)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "put your key into CSMF_KEY" in refused.stderr
    key = add_key(keys, "ana", "operate")
    assert within(5, lambda: answers(service, "/scenarios", key) == 200)
    assert run(*SET, "--url", service.url, CSMF_KEY=key).returncode == 0

    (tmp_path / "records.jsonl").write_text(json.dumps({"user_id": "u00001"}))
    rows = ("retrieve", "set weights", "weights visible")
    limit = '[[threshold]]\nrow = "{}"\nfigure = "failure_ratio"\nat_most = 0\n'
    (tmp_path / "limits.toml").write_text("".join(map(limit.format, rows)))
    words = ["--host", service.url, "--users", "2", "--duration", "3s", "--grace-ms", "1000"]
    words += ["--records", tmp_path / "records.jsonl", "--thresholds", tmp_path / "limits.toml"]
    done = run("loadtests.run", *words, "--out", tmp_path / "out", CSMF_KEY=key)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "key ana: PUT /scenarios/loadtest-feed/weights" in service.log.read_text()


def test_it_speaks_tls_and_its_operators_check_the_certificate(serve, certificate):
    files = dict(zip(("CSMF_TLS_CERT", "CSMF_TLS_KEY"), map(str, certificate), strict=True))
    service = serve("--workers", "2", wait=False, **files)
    service.url = service.url.replace("http:", "https:")
    known = ssl.create_default_context(cafile=certificate[0])
    assert within(60, lambda: answers(service, "/readyz", context=known) == 200)
    trusting = {"SSL_CERT_FILE": str(certificate[0])}
    assert run(*SET, "--url", service.url, **trusting).returncode == 0
    stranger = run(*SET, "--url", service.url)
    assert (stranger.returncode, "CERTIFICATE_VERIFY_FAILED" in stranger.stderr) == (1, True)
    assert service.stop() == 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"CSMF_TLS_CERT": "cert.pem"}, "got cert.pem, nothing"),
        ({"CSMF_TLS_CERT": "no.pem", "CSMF_TLS_KEY": "key.pem"}, "No such file"),
        ({"CSMF_TLS_CERT": "key.pem", "CSMF_TLS_KEY": "key.pem"}, "got key.pem, key.pem: "),
        ({"CSMF_ANONYMOUS": ""}, "CSMF_KEYS_FILE is empty: make a key with `csmf-keys new"),
        ({"CSMF_HOST": "0.0.0.0"}, "CSMF_ANONYMOUS: expected CSMF_HOST to be a loopback address"),
        ({"CSMF_ANONYMOUS": "yes"}, "error: CSMF_ANONYMOUS: String should match"),
    ],
)
def test_what_would_be_open_or_unreadable_is_refused_at_start_in_one_line(
    serve, certificate, monkeypatch, given, says
):
    folder = certificate[0].parent
    files = {name: str(folder / file) for name, file in given.items() if file.endswith(".pem")}
    service = serve(wait=False, **{**given, **files})
    assert service.process.wait(timeout=60) == 2
    (line,) = service.log.read_text().replace(f"{folder}/", "").splitlines()
    assert line.startswith("error: ")
    assert says in line


def test_neither_keys_nor_passwords_reach_the_log(serve, keys, own_redis):
    key, password = add_key(keys, "ana", "admin"), "sw0rdfish-of-redis"
    own_redis.client().config_set("requirepass", "another")
    url = f"redis://:{password}@127.0.0.1:{own_redis.port}/0"
    asking = {"CSMF_ANONYMOUS": "", "CSMF_KEYS_FILE": str(keys)}
    service = serve(CSMF_REDIS_URL=url, CSMF_LOG_LEVEL="debug", CSMF_WEIGHTS_POLL_S="0.2", **asking)
    assert answers(service, f"/scenarios?key={key}", key) == 200
    assert answers(service, f"/{key}", key) == 404
    assert answers(service, f"/scenarios/{key}/weights", key) == 422
    assert answers(service, "/scenarios", key[:-1] + "!") == 401
    refused = run(*SET, "--url", service.url, CSMF_KEY=key)
    assert (refused.returncode, "weights store that answers" in refused.stderr) == (1, True)
    keys.write_text(key)  # a slip: the key where its hash should be
    assert within(5, lambda: answers(service, "/readyz") and "stay as" in _asked(service, key))
    service.stop()
    said = service.log.read_text()
    assert "weights store: Redis: " in said
    for secret in (key, key[5:], password):
        assert secret not in said


def _asked(service, key):
    answers(service, "/scenarios", key)
    return service.log.read_text()


def test_a_key_is_not_sent_on_to_where_an_answer_leads(monkeypatch):
    monkeypatch.setenv("CSMF_KEY", "csmf_a-key")
    heard = []

    def give(listener, answer):
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(65_536).decode())
            connection.sendall(answer)

    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
    ):
        elsewhere = f"http://127.0.0.1:{second.getsockname()[1]}/x"
        leading = f"HTTP/1.0 302 Found\r\nlocation: {elsewhere}\r\n\r\n".encode()
        for server in ((first, leading), (second, b"HTTP/1.0 200 OK\r\n\r\n{}")):
            threading.Thread(target=give, args=server).start()
        call(f"http://127.0.0.1:{first.getsockname()[1]}", "GET", "/scenarios")
    assert ["csmf_a-key" in each for each in heard] == [True, False]
