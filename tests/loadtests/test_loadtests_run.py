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
from support.release import add_exact_index, make_release

from bundle.store import publish

ROOT = Path(__file__).parents[2]

# Rate, latency and a tenth of a second depend on the machine that runs the tests.
THRESHOLDS = """
[[threshold]]
row = "retrieve"
figure = "failure_ratio"
at_most = 0

[[threshold]]
row = "weights visible"
figure = "p99_ms"
at_most = 500

[[threshold]]
row = "weights visible"
figure = "requests"
at_least = 1
"""


@contextmanager
def serving(command, **environment):
    """Run a server that takes --port; its address, once it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/readyz", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def faulty_service(faults):
    app_dir = str(Path(__file__).parent)
    return serving(["uvicorn", "faulty_service:app", "--app-dir", app_dir], FAULTS=faults)


def real_service(tmp_path):
    release = make_release(tmp_path)
    index = add_exact_index(release)
    publish(release.releases, release.run_id, index.manifest.build_id)
    command = ["service.cli", "--releases", str(release.releases), "--workers", "2"]
    return serving(command, CSMF_STATE_DIR=str(tmp_path / "state"), CSMF_REDIS_URL="")


def wait_until_ready(url, process):
    for _ in range(600):
        assert process.poll() is None, "the service did not start"
        try:
            return urllib.request.urlopen(url, timeout=1).read()
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} was not ready after 30 s")


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
    command += [
        "--users",
        "4",
        "--rate",
        "10",
        "--grace-ms",
        "300",
        "--duration",
        "4s",
        "--records",
        str(records),
    ]
    command += ["--thresholds", str(thresholds), *more]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_service_under_load_serves_new_weights_on_all_workers_without_a_failed_request(
    tmp_path,
):
    with real_service(tmp_path) as host:
        done = run(host, tmp_path / "releases", tmp_path / "out")
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
    ("faults", "what_is_said"),
    [("late", ["was due"]), ("wrong failing", ["the same item twice", "status 503"])],
)
def test_a_service_that_is_late_wrong_or_failing_makes_the_run_fail_and_say_why(
    tmp_path, records, faults, what_is_said
):
    with faulty_service(faults) as host:
        done = run(host, records, tmp_path / "out")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "MISSED" in done.stdout
    assert [words for words in what_is_said if words not in done.stderr] == []


def test_a_service_that_is_not_there_is_named_before_any_load(tmp_path, records):
    done = run("http://127.0.0.1:1", records, tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --host: expected a ready service at http://127.0.0.1:1")
    assert "Traceback" not in done.stderr


def test_records_that_cannot_be_read_are_named_before_any_load(tmp_path):
    done = run("http://127.0.0.1:1", tmp_path / "absent.jsonl", tmp_path / "out")
    assert done.returncode == 2
    assert "absent.jsonl: expected user records" in done.stderr
