"""A scrape adds up the files of all workers, while they come and go."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, multiprocess

from service.watch import scrape

WORKER = """
import os, signal, sys
from prometheus_client import Counter, Gauge
from service.watch.scrape import write_for_scrapes

write_for_scrapes()
Counter("answers", "Answered.", registry=None).inc()
Gauge("at_once", "Now.", multiprocess_mode="livesum", registry=None).set(1)
print("counted", flush=True)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


NO_NAMES = """
import socket

class Refused(socket.socket):
    def bind(self, address):
        raise OSError("no such sockets")

socket.socket = Refused
"""


@contextmanager
def worker(directory, before=""):
    """One that counts an answer, and is killed in the end; yields what it says on the way."""
    started = subprocess.Popen(
        [sys.executable, "-c", before + WORKER],
        cwd=Path(__file__).parents[3],
        env={**os.environ, scrape.MULTIPROC_DIR: str(directory)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert started.stdout.readline() == b"counted\n"
    said = []
    yield said
    said += started.communicate()[1].decode().splitlines()


def shown(directory, monkeypatch):
    """Values by name."""
    monkeypatch.setenv(scrape.MULTIPROC_DIR, str(directory))
    lines = scrape.render(CollectorRegistry()).decode().splitlines()
    return dict(line.split() for line in lines if not line.startswith("#"))


def test_counts_go_on_and_files_grow_no_more_when_workers_are_killed(tmp_path, monkeypatch):
    files = []
    for number in range(1, 4):
        with worker(tmp_path):
            seen = shown(tmp_path, monkeypatch)
        assert seen == {"answers_total": f"{number}.0", "at_once": "1.0"}
        files.append(len(list(tmp_path.iterdir())))
    assert len(set(files)) == 1
    assert shown(tmp_path, monkeypatch) == {"answers_total": "3.0"}


def test_workers_that_run_at_once_do_not_share_a_place(tmp_path, monkeypatch):
    with worker(tmp_path), worker(tmp_path):
        assert shown(tmp_path, monkeypatch) == {"answers_total": "2.0", "at_once": "2.0"}


def test_a_worker_keeps_its_place_when_files_that_nobody_writes_to_are_swept_away(
    tmp_path, monkeypatch
):
    with worker(tmp_path):
        for path in set(tmp_path.iterdir()) - set(tmp_path.glob("*.db")):
            path.unlink()
        assert shown(tmp_path, monkeypatch) == {"answers_total": "1.0", "at_once": "1.0"}
        with worker(tmp_path):
            assert shown(tmp_path, monkeypatch) == {"answers_total": "2.0", "at_once": "2.0"}


def test_workers_that_can_take_no_place_count_by_process_id_and_say_so_once(tmp_path, monkeypatch):
    with worker(tmp_path, NO_NAMES) as said, worker(tmp_path, NO_NAMES):
        assert shown(tmp_path, monkeypatch) == {"answers_total": "2.0", "at_once": "2.0"}
    assert len(said) == 1
    assert "process id" in said[0]


def test_files_of_a_worker_that_leaves_during_a_scrape_are_done_without(tmp_path, monkeypatch):
    monkeypatch.setenv(scrape.MULTIPROC_DIR, str(tmp_path))
    gone = tmp_path / "counter_7.db"
    seen = iter([[str(gone)]])
    monkeypatch.setattr(multiprocess.glob, "glob", lambda _: next(seen, []))
    assert scrape.render(CollectorRegistry()) == b""


def test_a_pair_that_nobody_serves_any_more_is_not_shown(monkeypatch):
    monkeypatch.delenv(scrape.MULTIPROC_DIR, raising=False)
    registry = CollectorRegistry()
    workers = Gauge(scrape.SERVED_BY, "Workers.", ["build_id"], registry=registry)
    workers.labels("old").set(0)
    workers.labels("new").set(2)
    shown = scrape.render(registry).decode()
    assert 'build_id="new"} 2.0' in shown
    assert "old" not in shown
