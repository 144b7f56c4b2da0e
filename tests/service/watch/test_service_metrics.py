"""The files that workers write their metrics to."""

import os
import re
from pathlib import Path

import pytest

from bundle.writing import locked_directory
from service import cli
from service.cli import MEMORY


@pytest.mark.skipif(not os.access(MEMORY, os.W_OK), reason="no file system in memory")
def test_metrics_lie_in_memory_and_are_gone_with_the_service(serve):
    service = serve()
    maps = Path(f"/proc/{service.process.pid}/maps").read_text()
    (folder,) = set(re.findall(r"(/\S+/csmf-serve-metrics-\w+)/", maps))
    assert Path(folder).parent == Path(MEMORY)
    service.stop()
    assert not Path(folder).exists()


def test_metrics_of_a_service_that_was_killed_are_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "MEMORY", str(tmp_path))
    killed, lock = locked_directory(tmp_path, cli.METRICS)
    os.close(lock)  # as the kernel does
    with cli._metrics_folder() as served:
        assert [*tmp_path.iterdir()] == [served]
        with cli._metrics_folder() as another:
            assert {*tmp_path.iterdir()} == {served, another}
    assert not [*tmp_path.iterdir()]
    assert not killed.exists()
