"""A scrape adds up the files of all workers, while they come and go."""

from prometheus_client import CollectorRegistry, multiprocess

from service.watch import scrape


def test_two_scrapes_at_once_may_forget_the_same_dead_worker(tmp_path, monkeypatch):
    monkeypatch.setenv(scrape.MULTIPROC_DIR, str(tmp_path))
    dead = tmp_path / f"gauge_livesum_{2**30}.db"  # no process has this id
    dead.touch()

    def seen_by_both(_):
        dead.unlink(missing_ok=True)  # the other one was faster
        return [str(dead)]

    monkeypatch.setattr(multiprocess.glob, "glob", seen_by_both)
    assert scrape.render(CollectorRegistry()) == b""
