"""What a file of figures says of itself: the command that repeats it, when, which code, where.

`document(…)` is the whole file; `commit()` is asked before a long run, which the code may outlive.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from loadtests.verdict import Verdict

HERE = Path(__file__).parent
CODE = (":(top)", ":(top,exclude)docs/results")


def document(
    command: Sequence[str],
    began: datetime,
    measured: str,
    figures: Mapping[str, float],
    verdicts: Sequence[Verdict],
) -> dict[str, object]:
    """Figures of this machine, measured on a commit, and whether they met their thresholds."""
    return {
        "command": shlex.join(["python", "-m", *command]),
        "verdict": "met" if all(verdict.met for verdict in verdicts) else "missed",
        "began": began.isoformat(timespec="seconds"),
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "load_average": round(os.getloadavg()[1], 1),
            "python": platform.python_version(),
        },
        "figures": figures,
        "thresholds": [
            {"figure": v.threshold.figure, "bound": v.threshold.bound, "met": v.met}
            for v in verdicts
        ],
        "commit": measured,
    }


def arguments(argv: Sequence[str] | None) -> Sequence[str]:
    """What a command was given."""
    return sys.argv[1:] if argv is None else argv


def commit() -> str:
    """Of the code that is measured; `+` where it was changed since, results apart."""
    head = _git("rev-parse", "--short", "HEAD") or "unknown"
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *CODE)
    return head + "+" * bool(changed)


def _git(*words: str) -> str:
    ran = subprocess.run(  # noqa: S603  git, with words of our own
        ["git", *words],  # noqa: S607  whichever git the user has
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE,
    )
    return ran.stdout.strip()
