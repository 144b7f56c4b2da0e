"""The files that workers write their metrics to."""

import os
import re
from pathlib import Path

import pytest

from service.cli import MEMORY


@pytest.mark.skipif(not os.access(MEMORY, os.W_OK), reason="no file system in memory")
def test_metrics_lie_in_memory_and_are_gone_with_the_service(serve):
    service = serve()
    maps = Path(f"/proc/{service.process.pid}/maps").read_text()
    (folder,) = set(re.findall(r"(/\S+/csmf-metrics-\w+)/", maps))
    assert Path(folder).parent == Path(MEMORY)
    service.stop()
    assert not Path(folder).exists()
