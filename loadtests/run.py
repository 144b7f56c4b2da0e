"""Headless load test: drive locust, keep its tables and a plot, fail when a threshold is missed.

Decisions
- Locust runs as its own process, as a person would run it; this command starts it, judges the
  results.csv it leaves in --out (beside failures.csv, changes.csv and history.csv) and draws
  run.png.
- The default target is this machine. Any other is loaded only when --host names it.
- Exit code 0: every threshold met. 1: one was missed. 2: the run could not be made as asked.

    python -m loadtests.run --host http://127.0.0.1:8000 --users 50 --duration 30s --out /tmp/load
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from loadtests.plot import plot_run
from loadtests.queries import RecordsError, read_records
from loadtests.verdict import ThresholdsError, as_table, judge, read_table, read_thresholds

HERE = Path(__file__).parent


class RunError(RuntimeError):
    """A run that could not be made: what happened, what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run as told by `argv`; the exit code."""
    options = _parser().parse_args(argv)
    try:
        thresholds = read_thresholds(options.thresholds)
        read_records(options.records)
        _check_ready(options.host)
        options.out.mkdir(parents=True, exist_ok=True)
        _drive_locust(options)
    except (RunError, RecordsError, ThresholdsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    verdicts = judge(read_table(options.out / "results.csv"), thresholds)
    _plot(options)
    print(as_table(verdicts))
    print(f"tables and plot: {options.out}")
    return _report_misses(options.out) if not all(verdict.met for verdict in verdicts) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.run", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--host", default="http://127.0.0.1:8000", help="service to load (default: %(default)s)")
    add("--users", type=int, default=50, help="ranking stages (default: %(default)s)")
    add("--rate", type=float, default=2.0, help="requests a second of each (default: %(default)s)")
    add("--duration", default="30s", help="such as 30s, 5m, 1h (default: %(default)s)")
    add("--records", type=Path, default=Path("releases"), help=(
        "user records to ask with: a releases directory, whose golden set has some, "
        "or a JSON-lines file (default: %(default)s)"
    ))  # fmt: skip
    add("--grace-ms", type=float, default=100, help=(
        "a request sent this long after a change was acknowledged, or later, fails if it is "
        "answered with older weights (default: %(default)s)"
    ))  # fmt: skip
    add("--seed", type=int, default=1, help="seed of the queries (default: %(default)s)")
    add("--thresholds", type=Path, default=HERE / "thresholds.toml", help="pass thresholds")
    add("--out", type=Path, required=True, help="directory for the tables and the plot")
    return parser


def _check_ready(host: str) -> None:
    try:
        with urllib.request.urlopen(f"{host}/readyz", timeout=5) as answer:  # noqa: S310  user's host
            answer.read()
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise RunError(
            f"--host: expected a ready service at {host}: {error}; start one with csmf-serve"
        ) from error


def _drive_locust(options: argparse.Namespace) -> None:
    command = [
        *(sys.executable, "-m", "locust", "--locustfile", str(HERE / "locustfile.py")),
        *("--headless", "--only-summary", "--exit-code-on-error", "0"),
        *("--host", options.host, "--run-time", options.duration, "--stop-timeout", "10s"),
        # One more user than asked: the operator. All have arrived after two seconds.
        *("--users", str(options.users + 1), "--spawn-rate", str(options.users / 2 + 1)),
        *("--records", str(options.records), "--rate", str(options.rate)),
        *("--seed", str(options.seed), "--grace-ms", str(options.grace_ms)),
        *("--tables", str(options.out)),
        *("--csv", str(options.out / "locust"), "--csv-full-history"),
    ]
    print(f"load on {options.host}: {options.users} ranking stages for {options.duration}")
    code = subprocess.run(command, check=False).returncode  # noqa: S603  our own interpreter
    if code:
        raise RunError(f"locust ended with exit code {code}; its own message is above")
    _keep_history(options.out)


def _keep_history(out: Path) -> None:
    """Of locust's own CSV files only the history is kept: the others miss the last second."""
    (out / "locust_stats_history.csv").replace(out / "history.csv")
    for name in ("stats", "failures", "exceptions"):
        (out / f"locust_{name}.csv").unlink()


def _plot(options: argparse.Namespace) -> None:
    plot_run(
        options.out / "history.csv",
        options.out / "changes.csv",
        options.out / "run.png",
        title=f"{options.users} ranking stages, {options.rate:g} requests a second each",
    )


def _report_misses(out: Path) -> int:
    with (out / "failures.csv").open(newline="", encoding="utf-8") as file:
        failures = sorted(csv.DictReader(file), key=lambda row: -int(row["Occurrences"]))
    print("error: thresholds were missed (marked above)", file=sys.stderr)
    for row in failures[:5]:
        print(f"  {row['Occurrences']} × {row['Name']}: {row['Error'][:300]}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
