"""Where a run was made: date, commit, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def provenance() -> str:
    """Of a run that is made now."""
    return f"{datetime.now(UTC).date().isoformat()}, commit {commit()}, {machine()}"


def commit() -> str:
    """Of the code that runs, with a plus if its files differ from it; unknown outside of git."""

    def git(*words: str) -> str:
        here = Path(__file__).parent
        ran = subprocess.run(  # noqa: S603  # our own words
            ["git", "-C", str(here), *words],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", ".")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def machine() -> str:
    """Processor and cores."""
    lines = CPUINFO.read_text("utf-8").splitlines() if CPUINFO.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {models[0] if models else platform.machine()}"
