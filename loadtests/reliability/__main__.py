"""Run one experiment, write what it measured, say whether its thresholds were met.

Exit code 0: all were met. 1: one was missed. 2: the experiment could not be made as asked.

    python -m loadtests.reliability swaps --out docs/results/reliability
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from loadtests.reliability import (
    catalogue,
    contract,
    filters,
    kills,
    malformed,
    overload,
    redis_faults,
    soak,
    swaps,
    weights,
)
from loadtests.reliability.page import FIGURES, write_page
from loadtests.reliability.running import ServiceError
from loadtests.verdict import Verdict, as_table, judge

EXPERIMENTS: Mapping[str, ModuleType] = {
    "catalogue": catalogue,
    "contract": contract,
    "filters": filters,
    "kills": kills,
    "malformed": malformed,
    "overload": overload,
    "redis": redis_faults,
    "soak": soak,
    "swaps": swaps,
    "weights": weights,
}
HERE = Path(__file__).parent


def main(argv: Sequence[str] | None = None) -> int:
    """Run as told by `argv`; the exit code."""
    options = _parser().parse_args(argv)
    if options.experiment == "page":
        print(write_page(EXPERIMENTS))
        return 0
    experiment = EXPERIMENTS[options.experiment]
    began, commit = datetime.now(UTC), _commit()
    try:
        with tempfile.TemporaryDirectory(prefix="csmf-reliability-") as scratch:
            figures = experiment.run(options, options.work or Path(scratch))
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    verdicts = judge({options.experiment: figures}, experiment.thresholds(options))
    print(as_table(verdicts))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        document = _document(argv, began, figures, verdicts) | {"commit": commit}
        path = options.out / f"{options.experiment}.json"
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"all figures: {path}")
        if options.out.resolve() == FIGURES:
            write_page(EXPERIMENTS)
    return 0 if all(verdict.met for verdict in verdicts) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.reliability", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    experiments = parser.add_subparsers(dest="experiment", required=True)
    experiments.add_parser("page", help="write docs/results/reliability.md from all figures")
    for name, module in EXPERIMENTS.items():
        own = experiments.add_parser(name, help=module.__doc__.splitlines()[0])
        own.description, own.formatter_class = module.__doc__, argparse.RawDescriptionHelpFormatter
        own.add_argument("--out", type=Path, help="write the figures to this directory")
        own.add_argument("--work", type=Path, help="keep releases and logs in this directory")
        module.add_options(own)
    return parser


def _document(
    argv: Sequence[str] | None,
    began: datetime,
    figures: Mapping[str, float],
    verdicts: Sequence[Verdict],
) -> dict[str, object]:
    given = sys.argv[1:] if argv is None else argv
    return {
        "command": shlex.join(["python", "-m", "loadtests.reliability", *given]),
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
    }


def _commit() -> str:
    """Of the code that was measured; `+` where it was changed since."""
    described = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    ran = subprocess.run(  # noqa: S603  git, with words of our own
        described, capture_output=True, text=True, check=False, cwd=HERE
    )
    return ran.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
