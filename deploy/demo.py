"""The whole path on a simulated log, by the commands and the HTTP API that users have.

    python deploy/demo.py --out demo      data → train → export → index → serve → query

Decisions
- Every step is the real command. Steps that are done are not repeated: delete the folder to start
  over. A killed demo goes on where it was.
- The table is measured over HTTP: page views that the towers never trained on, weights set as an
  operator sets them, lists judged by what the users then clicked and bought.
- Imports nothing of ours: what the demo can do, any client can do.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import polars as pl

# What an operator might call the places of a shop, and the paper's <k_d, k_o, k_r> for each.
SCENARIOS = {
    "get-seen": {"k_d": 1, "k_o": 0, "k_r": 0},
    "get-clicked": {"k_d": 0, "k_o": 1, "k_r": 0},
    "get-bought": {"k_d": 0, "k_o": 0, "k_r": 1},
}
QUICK = ("--preset", "plain")  # a minute; the preset `default` does better in five
K = 50
PAGE_VIEWS = 2000  # judged per setting
START_SECONDS = 60
STOPPED = 130  # the exit code of Ctrl-C, in every shell


def main() -> int:
    """Run the demo; the exit code of the first command that fails."""
    parser = argparse.ArgumentParser(description="Data → train → export → index → serve → query.")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for everything")
    parser.add_argument("--port", type=int, default=8000, help="port of the service")
    parser.add_argument("simulate", nargs="*", help="more options of csmf-log simulate, after --")
    arguments = parser.parse_args()
    started = time.monotonic()
    try:
        require_free(arguments.port)
        release = build(arguments.out, arguments.simulate)
        with service(arguments.out, arguments.port) as client:
            show(client, arguments.out / "log", release)
    except subprocess.CalledProcessError as error:
        return error.returncode
    except DemoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on where it was", file=sys.stderr)
        return STOPPED
    print(f"\nDone in {time.monotonic() - started:.0f} s. `make serve` keeps the service running.")
    return 0


class DemoError(Exception):
    """The service did not do what the demo needs of it, or cannot start."""


def require_free(port: int) -> None:
    """Refuse a taken port before minutes of work: else the demo would change another's weights."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        reason = f"--port {port}: {os.strerror(error.errno)}"
        remedy = "stop what listens there, or choose another port: make demo PORT=8001"
        raise DemoError(f"{reason}; {remedy}") from None


def build(out: Path, simulate: list[str]) -> Path:
    """Log, release and index below `out`; the release's folder."""
    log, releases = out / "log", out / "releases"
    if not log.exists():
        step("simulating a log with known tastes", "csmf-log", "simulate", "--out", log, *simulate)
        step("the log", "csmf-log", "describe", log)
    trained = step("training", "csmf-train", *QUICK, "--log", log, "--out", releases)
    release = Path(trained.split("bundle ", 1)[1].splitlines()[0])
    current = releases / "CURRENT"
    if not current.exists() or json.loads(current.read_text())["run_id"] != release.name:
        step("indexing", "csmf-index", "--release", release, "--log", log, "--publish")
    return release


def step(title: str, command: str, *words: str | Path) -> str:
    """Run one of the project's commands, its messages shown; what it printed to stdout."""
    print(f"\n--- {title}: {command} {' '.join(map(str, words))}", flush=True)
    program = Path(sys.executable).with_name(command)
    ran = subprocess.run([program, *words], stdout=subprocess.PIPE, text=True, check=False)
    print(ran.stdout, end="", flush=True)
    ran.check_returncode()
    return ran.stdout


@dataclass(frozen=True)
class Client:
    """JSON over one connection that stays open."""

    connection: HTTPConnection

    def call(self, method: str, path: str, body: object = None) -> dict:
        """The answer's JSON. Raises DemoError if the service refuses."""
        headers = {"Content-Type": "application/json"}
        self.connection.request(method, path, json.dumps(body) if body else None, headers)
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise DemoError(f"{method} {path} answered {response.status}: {answer}")
        return answer


@contextmanager
def service(out: Path, port: int) -> Iterator[Client]:
    """A running csmf-serve with a weights store of its own, whatever the environment names.

    Nothing would remove the demo's scenarios from a store that others use.
    """
    words = ["--releases", out / "releases", "--port", str(port)]
    print(f"\n--- serving: csmf-serve {' '.join(map(str, words))}", flush=True)
    environment = {"CSMF_STATE_DIR": str(out / "state"), "CSMF_LOG_LEVEL": "warning"}
    alone = {"CSMF_ANONYMOUS": "loopback"}
    alone |= dict.fromkeys(("CSMF_KEYS_FILE", "CSMF_REDIS_URL", "CSMF_FEATURES_URL"), "")
    program = Path(sys.executable).with_name("csmf-serve")
    server = subprocess.Popen([program, *words], env=environment | os.environ | alone)
    try:
        wait_until_ready(server, port)
        yield Client(HTTPConnection("127.0.0.1", port))
    finally:
        server.terminate()
        server.wait(30)


def wait_until_ready(server: subprocess.Popen, port: int) -> None:
    """Poll /readyz until it answers 200."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise DemoError(f"csmf-serve was not ready on port {port}; its own message is above")


def show(client: Client, log: Path, release: Path) -> None:
    """Set each scenario's weights, judge its lists on held-out page views, print the table."""
    views = held_out_views(log, release)
    results = {}
    for scenario, weights in SCENARIOS.items():
        change = {"weights": weights, "author": "demo", "reason": "show what weights do"}
        client.call("PUT", f"/scenarios/{scenario}/weights", change)
        results[scenario] = [
            client.call("POST", "/retrieve", {"scenario": scenario, "user": view["user"], "k": K})
            for view in views
        ]
    print(f"\n{len(views)} page views with a click, none seen in training, {K} items each:\n")
    print(f"{'':12} {'':16} {'recall of':>10} {'recall of':>12} {'items shared with':>18}")
    print(
        f"{'scenario':12} {'<k_d, k_o, k_r>':16} {'clicks':>10} {'conversions':>12}"
        f" {'get-clicked':>18}"
    )
    for scenario, weights in SCENARIOS.items():
        lists = [set(answer["item_ids"]) for answer in results[scenario]]
        clicked = [set(answer["item_ids"]) for answer in results["get-clicked"]]
        shared = sum(len(a & b) for a, b in zip(lists, clicked, strict=True)) / len(views) / K
        triple = "<{k_d}, {k_o}, {k_r}>".format(**weights)
        print(
            f"{scenario:12} {triple:16} {recall(lists, views, 'clicked'):10.3f}"
            f" {recall(lists, views, 'converted'):12.3f} {shared:18.0%}"
        )
    print(f"\nThe first five items for {views[0]['user']['user_id']}:")
    for scenario, answers in results.items():
        print(f"{scenario:12} {'  '.join(answers[0]['item_ids'][:5])}")


def held_out_views(log: Path, release: Path) -> list[dict]:
    """User record, clicked and bought items of page views with a click, after training."""
    after = json.loads((release / "evaluation.json").read_text())["split"]["at_ms"]
    features = json.loads((release / "features.json").read_text())["user"]
    columns = sorted({"user_id", *(feature["name"] for feature in features)})
    requests = pl.read_parquet(log / "requests.parquet").filter(pl.col("ts") >= after)
    if (log / "users.parquet").exists():
        users = pl.read_parquet(log / "users.parquet")
        requests = requests.join(users, on="user_id", how="left")
    outcome = (
        pl.read_parquet(log / "events.parquet")
        .filter("clicked")
        .group_by("request_id")
        .agg(clicked="item_id", converted=pl.col("item_id").filter("converted"))
    )
    chosen = requests.join(outcome, on="request_id", maintain_order="left").head(PAGE_VIEWS)
    return [
        {
            "user": {name: row[name] for name in columns},
            "clicked": set(row["clicked"]),
            "converted": set(row["converted"]),
        }
        for row in chosen.to_dicts()
    ]


def recall(lists: list[set], views: list[dict], outcome: str) -> float:
    """Share of all clicked (converted) items that were in their page view's list."""
    hits = sum(len(found & view[outcome]) for found, view in zip(lists, views, strict=True))
    return hits / max(1, sum(len(view[outcome]) for view in views))


if __name__ == "__main__":
    sys.exit(main())
