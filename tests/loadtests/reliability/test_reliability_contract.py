"""The contract in small: the real service keeps to its document, and what breaks it is noticed."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from support.release import add_exact_index, make_release

from bundle.store import publish
from loadtests.reliability import cases, contract, garbage
from loadtests.reliability.__main__ import main


@pytest.mark.slow
def test_every_answer_is_one_of_the_document_and_bytes_of_any_kind_harm_nothing(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(garbage, "PATIENCE_S", (0.0, 0.2, 1.0))
    release = make_release(tmp_path / "one")
    add_exact_index(release)
    publish(release.releases, release.run_id, "b1")
    flags = ["--cases", "200", "--garbage", "150"]
    places = ["--releases", str(release.releases), "--work", str(tmp_path), "--out", str(tmp_path)]
    assert main(["contract", *flags, *places]) == 0
    assert "MISSED" not in capsys.readouterr().out
    figures = json.loads((tmp_path / "contract.json").read_text())["figures"]
    assert figures["answers_200"] > 20
    assert figures["bytes_400"] > 10


DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "one path", "version": "1"},
    "paths": {"/livez": {"get": {"responses": {"200": {"description": "alive", "content": {
        "application/json": {"schema": {
            "type": "object",
            "required": ["status"],
            "properties": {"status": {"type": "string"}},
        }},
    }}}}}},
}  # fmt: skip
JSON = "application/json"


@pytest.mark.parametrize(
    ("status", "content_type", "body", "failed"),
    [
        (200, JSON, b'{"status": "alive"}', 0),
        (200, JSON, b'{"status": 1}', 1),
        (200, "text/html", b'{"status": "alive"}', 1),
        (418, JSON, b"{}", 1),
        (500, JSON, b"{}", 2),  # a fault, and a status that the document lacks
    ],
)
def test_an_answer_that_the_document_lacks_is_counted(status, content_type, body, failed):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = body if self.path == "/livez" else json.dumps(DOCUMENT).encode()
            self.send_response(status if self.path == "/livez" else 200)
            self.send_header("content-type", content_type if self.path == "/livez" else JSON)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        figures = cases.hold(server.server_port, "key", count=1, seed=1, memory=lambda: 1)
        server.shutdown()
    assert (figures["cases"], figures["failed_cases"]) == (1, failed)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", []),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", [200]),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 422 X\r\ncontent-length: 1\r\n\r\nx", [100, 422]),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{", [200]),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTT", [200]),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nFTP", [200, garbage.NO_HTTP]),
        (b"\x00\x01", [garbage.NO_HTTP]),
    ],
)
def test_the_answers_on_a_connection_are_told_apart(answer, expected):
    assert garbage.statuses(answer) == expected


def test_a_connection_is_left_until_the_service_has_closed_its_end():
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = service.getsockname()[1]
        assert contract._connections(port) == 0  # a listening socket is none
        client = socket.create_connection(("127.0.0.1", port))
        connection, _ = service.accept()
        assert contract._connections(port) == 1
        client.close()
        assert contract._connections(port) == 1  # closed by the client alone
        connection.close()
        assert contract._connections(port) == 0
