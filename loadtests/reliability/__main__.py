"""Run one experiment, write what it measured, say whether its thresholds were met.

Exit code 0: all were met. 1: one was missed. 2: the experiment could not be made as asked.

    python -m loadtests.reliability swaps --out docs/results/reliability
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from loadtests.provenance import arguments, commit, document
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
from loadtests.verdict import as_table, judge

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


def main(argv: Sequence[str] | None = None) -> int:
    """Run as told by `argv`; the exit code."""
    options = _parser().parse_args(argv)
    if options.experiment == "page":
        print(write_page(EXPERIMENTS))
        return 0
    experiment = EXPERIMENTS[options.experiment]
    began, measured = datetime.now(UTC), commit()
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
        command = ["loadtests.reliability", *arguments(argv)]
        written = document(command, began, measured, figures, verdicts)
        path = options.out / f"{options.experiment}.json"
        path.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
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


if __name__ == "__main__":
    sys.exit(main())
