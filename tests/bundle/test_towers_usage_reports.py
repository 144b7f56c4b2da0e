"""onnxruntime's usage reports stay off, whoever loads a tower."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def files_after(statement: str, home: Path) -> list[str]:
    """What a fresh process leaves in its home; reports are queued there before they are sent."""
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", statement], cwd=ROOT, env=environment, check=True)
    return [path.name for path in home.rglob("*") if path.is_file()]


def test_loading_towers_neither_identifies_the_machine_nor_queues_reports(tmp_path):
    assert files_after("import bundle.towers", tmp_path) == []
