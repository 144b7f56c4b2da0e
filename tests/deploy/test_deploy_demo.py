"""The demo asks its own service only."""

import socket
import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parents[2] / "deploy" / "demo.py"


def test_a_port_that_is_taken_is_refused_before_any_work(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = [sys.executable, DEMO, "--out", tmp_path / "demo", "--port", str(port)]
        ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    says = f"error: --port {port}: Address already in use; stop what listens there"
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(says)
    assert not (tmp_path / "demo").exists()
