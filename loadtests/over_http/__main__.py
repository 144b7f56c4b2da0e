"""Measure the HTTP path against the same work in one process, and say whether the goals were met.

Exit code 0: all were met. 1: one was missed. 2: it could not be measured as asked.

    python -m loadtests.over_http --items 1000000 --out docs/results
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from loadtests.over_http.measure import Figures, Plan, measure, measure_visibility
from loadtests.over_http.page import write_page
from loadtests.over_http.side import SideError
from loadtests.provenance import arguments, commit, document
from loadtests.reliability.pairs import find_pairs, make_runs
from loadtests.reliability.running import ServiceError
from loadtests.verdict import Threshold, as_table, judge

ROW = "http"
DIMS = (24, 20, 20)  # of the segments of a pair made here


def main(argv: Sequence[str] | None = None) -> int:
    """Run as told by `argv`; the exit code."""
    options = _parser().parse_args(argv)
    began, measured = datetime.now(UTC), commit()
    try:
        with tempfile.TemporaryDirectory(prefix="csmf-http-") as scratch:
            figures = _measure(options, options.work or Path(scratch))
    except (ServiceError, SideError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    verdicts = judge({ROW: figures}, thresholds(options.k))
    print(as_table(verdicts))
    if options.out:
        command = ["loadtests.over_http", *arguments(argv)]
        written = document(command, began, measured, figures, verdicts)
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / "http.json"
        path.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
        print(write_page(path))
    return 0 if all(verdict.met for verdict in verdicts) else 1


def thresholds(lengths: Sequence[int]) -> list[Threshold]:
    """What must be reached for each list length, and once."""
    each = [
        ("p50_ratio", {"at_most": 1.3}),
        ("throughput_ratio", {"at_least": 0.8}),
        ("two_workers", {"at_least": 1.9}),
        ("load70_p99_of_p50", {"at_most": 3}),
        ("load70_failed", {"at_most": 0}),
        ("weighted_p50_ratio", {"at_most": 1.02}),
    ]
    of_lengths = [Threshold(ROW, f"k{k}_{name}", **bound) for k in lengths for name, bound in each]
    return [*of_lengths, Threshold(ROW, "visible_p99_ms", at_most=20)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.over_http", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--releases", type=Path, help="whose current pair to serve; default: one made here")
    add("--items", type=int, default=1_000_000, help="of the pair made here (%(default)s)")
    add("--k", type=int, nargs="+", default=[50, 500], help="list lengths (%(default)s)")
    add("--rounds", type=int, default=9, help="of turns (%(default)s)")
    add("--turn", type=float, default=1.0, help="seconds of each turn (%(default)s)")
    add("--load", type=float, default=20.0, help="seconds under load (%(default)s)")
    add("--changes", type=int, default=200, help="of weights (%(default)s)")
    add("--flags", default="", help="more flags of csmf-serve, such as '--access-log true'")
    add("--out", type=Path, help="write http.json and http.md to this directory")
    add("--work", type=Path, help="keep releases and logs in this directory")
    return parser


def _measure(options: argparse.Namespace, work: Path) -> Figures:
    work.mkdir(parents=True, exist_ok=True)
    pair = find_pairs(options.releases or make_runs(work, [ROW], options.items, DIMS))[0]
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise ServiceError("two workers want two cores, and this process may use one")
    plan = Plan(
        (cores[0], cores[-1]),
        options.rounds,
        options.turn,
        options.load,
        options.changes,
        tuple(options.flags.split()),
    )
    figures: Figures = {"items": pair.items}
    for k in options.k:
        seen = measure(pair, k, plan, work / f"k{k}")
        figures |= {f"k{k}_{name}": value for name, value in seen.items()}
    return figures | measure_visibility(pair, plan, work)


if __name__ == "__main__":
    sys.exit(main())
