"""The demo asks its own service only."""

import os
import signal
import socket
import subprocess
import sys
import time
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


def test_ctrl_c_ends_the_demo_and_its_command_without_a_traceback(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    words = [sys.executable, DEMO, "--out", tmp_path / "demo", "--port", str(port)]
    demo = subprocess.Popen(
        [*words, "--", "--requests", "10000000"],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: any((tmp_path / "demo").glob("*")))  # csmf-log has begun to write
        os.killpg(demo.pid, signal.SIGINT)
        _, errors = demo.communicate(timeout=30)
    finally:
        demo.kill()
    assert demo.returncode == 130
    assert errors.splitlines()[-1] == "stopped; the same command goes on where it was"
    assert "Traceback" not in errors


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
