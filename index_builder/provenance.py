"""Where a measurement comes from: commit, processor, and what else ran beside it."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import faiss

CODE = (":(top)", ":(top,exclude)docs/results")
VECTOR_FLAGS = ("avx", "avx2", "f16c", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_vnni")


def commit() -> str:
    """Of the sources; with a + where they were changed, results apart; `unknown` without git."""
    try:
        head = _git("rev-parse", "--short", "HEAD").strip()
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", *CODE).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + "+" * bool(changed)


def _git(*words: str) -> str:
    done = subprocess.run(  # noqa: S603  # fixed commands
        ["git", *words],  # noqa: S607  # whichever git the user has
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def processor() -> str:
    """Its name."""
    return _cpuinfo("model name") or platform.processor() or "unknown processor"


def vector_flags() -> list[str]:
    """Of the instruction sets that vector libraries choose by, those it has."""
    flags = set(_cpuinfo("flags").split())
    return [flag for flag in VECTOR_FLAGS if flag in flags]


def machine() -> dict[str, object]:
    """What a figure depends on, as JSON; the load is the average of the last minute."""
    return {
        "processor": processor(),
        "flags": vector_flags(),
        "faiss": f"FAISS {faiss.__version__} by {faiss.SIMDConfig.get_level_name()}",
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "system": platform.system(),
        "load": round(os.getloadavg()[0], 1),
    }


def _cpuinfo(name: str) -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    found = [line.split(":", 1)[1].strip() for line in lines if line.startswith(name)]
    return found[0] if found else ""
