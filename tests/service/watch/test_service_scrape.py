"""A scrape adds up the files of all workers, while they come and go."""

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, multiprocess

from service.watch import scrape

FAILING_WORKER = """
import multiprocessing, os
from service.app import _ending_alone
from service.watch.telemetry import Telemetry

def start():
    Telemetry()
    print(len(os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])) > 0, flush=True)
    with _ending_alone():
        raise ValueError("no")

worker = multiprocessing.get_context("fork").Process(target=start)
worker.start()
worker.join()
print(worker.exitcode)
"""


def test_two_scrapes_at_once_may_forget_the_same_dead_worker(tmp_path, monkeypatch):
    monkeypatch.setenv(scrape.MULTIPROC_DIR, str(tmp_path))
    dead = tmp_path / f"gauge_livesum_{2**30}.db"  # no process has this id
    dead.touch()

    def seen_by_both(_):
        dead.unlink(missing_ok=True)  # the other one was faster
        return [str(dead)]

    monkeypatch.setattr(multiprocess.glob, "glob", seen_by_both)
    assert scrape.render(CollectorRegistry()) == b""


def test_files_of_a_worker_that_leaves_during_a_scrape_are_done_without(tmp_path, monkeypatch):
    monkeypatch.setenv(scrape.MULTIPROC_DIR, str(tmp_path))
    gone = tmp_path / "counter_7.db"
    seen = iter([[str(gone)]])
    monkeypatch.setattr(multiprocess.glob, "glob", lambda _: next(seen, []))
    assert scrape.render(CollectorRegistry()) == b""


def test_a_worker_that_cannot_start_leaves_no_files(tmp_path):
    started = subprocess.run(
        [sys.executable, "-c", FAILING_WORKER],
        cwd=Path(__file__).parents[3],
        env={**os.environ, scrape.MULTIPROC_DIR: str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert started.stdout.split() == ["True", "1"], started.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_pair_that_nobody_serves_any_more_is_not_shown(monkeypatch):
    monkeypatch.delenv(scrape.MULTIPROC_DIR, raising=False)
    registry = CollectorRegistry()
    workers = Gauge(scrape.SERVED_BY, "Workers.", ["build_id"], registry=registry)
    workers.labels("old").set(0)
    workers.labels("new").set(2)
    shown = scrape.render(registry).decode()
    assert 'build_id="new"} 2.0' in shown
    assert "old" not in shown
