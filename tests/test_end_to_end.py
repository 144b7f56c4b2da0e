"""The whole path by its commands: log → towers → index → /retrieve, and what weights do there."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bundle.scoring import exact_top_k, objective_scores, scale_query
from bundle.store import read_current, read_pair
from bundle.towers import open_user_tower

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[1]
SMALL_LOG = ["--users", "200", "--items", "400", "--requests", "1500"]
SMALL_RUN = ["--set", "model.dim=24", "--set", "last.mixed_negatives=128", "--set", "threads=1"]


def run(command: str, *words: object) -> str:
    ran = subprocess.run(
        [str(BIN / command), *map(str, words)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"{command} {words}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Log and published release, made by the commands of the README."""
    root = tmp_path_factory.mktemp("path")
    run("csmf-log", "simulate", "--out", root / "log", *SMALL_LOG)
    trained = run("csmf-train", "--log", root / "log", "--out", root / "releases", *SMALL_RUN)
    bundle = trained.split("bundle ")[1].splitlines()[0]
    run("csmf-index", "--release", bundle, "--log", root / "log", "--publish")
    return root


class Service:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def call(self, method: str, path: str, body: object = None) -> dict:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                self.call("GET", "/readyz")
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError("csmf-serve was not ready within 60 s")


@pytest.fixture(scope="module")
def service(path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"CSMF_STATE_DIR": str(path / "state"), "CSMF_REDIS_URL": ""}
    command = [str(BIN / "csmf-serve"), "--releases", str(path / "releases"), "--port", str(port)]
    process = subprocess.Popen(command, env=environment)
    running = Service(port)
    try:
        running.wait_until_ready()
        yield running
    finally:
        process.terminate()
        assert process.wait(30) == 0


@pytest.fixture(scope="module")
def users(path) -> list[dict]:
    requests = pl.read_parquet(path / "log" / "requests.parquet").tail(20)
    users = pl.read_parquet(path / "log" / "users.parquet")
    joined = requests.join(users, on="user_id", how="left", maintain_order="left")
    return joined.drop("request_id", "ts").to_dicts()


def test_http_answers_what_the_released_towers_and_exact_search_say(path, service, users):
    bundle, index = read_pair(path / "releases", read_current(path / "releases"))
    columns = {name: [user[name] for user in users] for name in users[0]}
    encoded = bundle.schema.encode_user(columns, len(users))
    users_BM = open_user_tower(bundle).embed(encoded.arrays)
    weights_S = bundle.manifest.weights.as_array()
    queries_BM = scale_query(users_BM, weights_S, bundle.segments)
    rows_BK, scores_BK = exact_top_k(queries_BM, index.item_vectors_NM, 50)
    for user, row_M, rows_K, scores_K in zip(users, users_BM, rows_BK, scores_BK, strict=True):
        answer = service.call(
            "POST", "/retrieve", {"user": user, "k": 50, "objective_scores": True}
        )
        assert answer["item_ids"] == [item.decode() for item in index.item_ids_N[rows_K]]
        np.testing.assert_allclose(answer["scores"], scores_K, rtol=1e-4, atol=1e-5)
        stages_SK = objective_scores(
            row_M[None], index.item_vectors_NM[rows_K][None], bundle.segments
        )[:, 0]
        for stage, expected_K in zip(bundle.segments.names, stages_SK, strict=True):
            np.testing.assert_allclose(
                answer["objective_scores"][stage], expected_K, rtol=1e-4, atol=1e-4
            )


def test_three_times_the_weights_return_the_same_items(service, users):
    for user in users:
        lists = [
            service.call(
                "POST",
                "/retrieve",
                {
                    "user": user,
                    "k": 100,
                    "weights": {"k_d": 1 * c, "k_o": 1.8 * c, "k_r": 1.2 * c},
                },
            )["item_ids"]
            for c in (1, 3)
        ]
        assert lists[0] == lists[1]


def test_an_operators_change_changes_the_list_and_can_be_taken_back(service, users):
    def set_by_command(k_d: float, k_o: float, k_r: float) -> None:
        words = [f"exposure={k_d}", f"click={k_o}", f"conversion={k_r}"]
        reason = ["--author", "ops", "--reason", "test"]
        run("csmf-weights", "set", "--url", service.url, "shop", *words, *reason)

    def served() -> tuple[list[str], int]:
        answer = service.call("POST", "/retrieve", {"scenario": "shop", "user": users[0], "k": 50})
        return answer["item_ids"], answer["weights_version"]

    set_by_command(1, 0, 0)
    seen, version = served()
    assert version == 1
    set_by_command(0, 0, 1)
    bought, version = served()
    assert version == 2
    assert bought != seen
    run(
        *("csmf-weights", "rollback", "--url", service.url, "shop", "--to", "1"),
        *("--author", "ops", "--reason", "test"),
    )
    assert served() == (seen, 3)


def test_the_release_says_how_good_it_is_on_the_time_after_its_training(path):
    bundle = next(each for each in (path / "releases").iterdir() if (each / "bundle.json").exists())
    evaluation = json.loads((bundle / "evaluation.json").read_text())
    assert evaluation["split"]["test_requests"] > 0
    fused = evaluation["lists"]["fused"]["exposure"]["all"]["recall@50"]["micro"]
    assert fused > 1.5 * 50 / 400, "better than chance: 50 of 400 items"
    assert evaluation["parity_max_abs_error"] <= 1e-5


def test_the_demo_measures_its_table_over_http(tmp_path):
    """The README's command on a smaller log; it trains with the default configuration."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [ROOT / "deploy" / "demo.py", "--out", tmp_path, "--port", str(port), "--", *SMALL_LOG]
    shown = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    rows = [line.split() for line in shown.stdout.splitlines() if line.startswith("get-")]
    names = ["get-seen", "get-clicked", "get-bought"]
    assert [row[0] for row in rows] == names * 2
    assert all(0 < float(recall) < 1 for row in rows[:3] for recall in row[4:6])
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=2)
