"""The headless run as a person starts it: real locust, a real HTTP service, exit codes."""

import csv
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Rate and latency depend on the machine that runs the tests; what is judged here does not.
THRESHOLDS = """
[[threshold]]
row = "retrieve"
figure = "failure_ratio"
at_most = 0

[[threshold]]
row = "weights visible"
figure = "p99_ms"
at_most = 250

[[threshold]]
row = "weights visible"
figure = "requests"
at_least = 1
"""


@contextmanager
def service(fault=""):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "faulty_service:app", "--log-level", "error"]
    process = subprocess.Popen(
        [*command, "--app-dir", str(Path(__file__).parent), "--port", str(port)],
        env={**os.environ, "FAULT": fault},
    )
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/readyz", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def wait_until_ready(url, process):
    for _ in range(200):
        assert process.poll() is None, "the small service did not start"
        try:
            return urllib.request.urlopen(url, timeout=1).read()
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} was not ready after 10 s")


@pytest.fixture
def records(tmp_path):
    path = tmp_path / "records.jsonl"
    users = [{"user_id": f"u{n}", "hour": n % 24, "recent_items": ["i1"]} for n in range(20)]
    path.write_text("\n".join(json.dumps(user) for user in users))
    return path


def run(host, records, out, *more):
    thresholds = out.parent / "thresholds.toml"
    thresholds.write_text(THRESHOLDS)
    command = [sys.executable, "-m", "loadtests.run", "--host", host, "--out", str(out)]
    command += ["--users", "4", "--rate", "10", "--duration", "4s", "--records", str(records)]
    command += ["--thresholds", str(thresholds), *more]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_run_that_meets_its_thresholds_ends_with_zero_and_leaves_tables_and_a_plot(
    tmp_path, records
):
    with service() as host:
        done = run(host, records, tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "met" in done.stdout
    assert "MISSED" not in done.stdout
    assert (tmp_path / "out" / "run.png").read_bytes()[:4] == b"\x89PNG"
    with (tmp_path / "out" / "results.csv").open() as file:
        counts = {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(file)}
    assert counts["retrieve"] >= 50
    with (tmp_path / "out" / "changes.csv").open() as file:
        changes = list(csv.DictReader(file))
    assert len(changes) == counts["weights visible"] >= 1
    assert {change["scenario"] for change in changes} <= {"loadtest-feed", "loadtest-campaign"}


@pytest.mark.parametrize(
    ("fault", "what_is_said"),
    [
        ("late", "was due"),
        ("wrong", "the same item twice"),
        ("failing", "status 503"),
    ],
)
def test_a_service_that_is_late_wrong_or_failing_makes_the_run_fail_and_say_why(
    tmp_path, records, fault, what_is_said
):
    with service(fault) as host:
        done = run(host, records, tmp_path / "out")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "MISSED" in done.stdout
    assert what_is_said in done.stderr


def test_a_service_that_is_not_there_is_named_before_any_load(tmp_path, records):
    done = run("http://127.0.0.1:1", records, tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --host: expected a ready service at http://127.0.0.1:1")
    assert "Traceback" not in done.stderr


def test_records_that_cannot_be_read_are_named_before_any_load(tmp_path):
    done = run("http://127.0.0.1:1", tmp_path / "absent.jsonl", tmp_path / "out")
    assert done.returncode == 2
    assert "absent.jsonl: expected user records" in done.stderr
