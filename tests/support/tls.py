"""A certificate, and TLS in front of a server that has none (Redis of the tests' wheel)."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, which is its own authority, and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-days", "2", "-subj", "/CN=csmf", "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run(words, check=True, capture_output=True)
    return certificate, key


@contextmanager
def tls_before(port: int, files: tuple[Path, Path]) -> Iterator[int]:
    """The port of a listener that passes what comes over TLS on to `port`, both ways."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, context, port), daemon=True).start()
        yield listener.getsockname()[1]


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            plain = listener.accept()[0]
        except OSError:
            return  # the test is over
        threading.Thread(target=_pass_on, args=(plain, context, port), daemon=True).start()


def _pass_on(plain: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """One socket in one thread: TLS must not be read and written at once."""
    try:
        with (
            context.wrap_socket(plain, server_side=True) as client,
            socket.create_connection(("127.0.0.1", port)) as server,
        ):
            client.settimeout(0.01)
            server.settimeout(0.01)
            while _moved(client, server) and _moved(server, client):
                pass
    except OSError:
        pass  # who does not trust the certificate leaves


def _moved(source: socket.socket, target: socket.socket) -> bool:
    """Pass on what is there; False once the source has ended."""
    try:
        content = source.recv(65_536)
    except TimeoutError:
        return True
    target.sendall(content)
    return bool(content)
