"""How soon a service is ready, and what memory each of its workers takes for itself.

Decisions
- Ready is when /readyz says so, counted from the start of `csmf-serve`, a worker: it has read its
  settings, hashed and opened the pair, and answered the golden queries.
- A start is `cold` with an empty state folder, as on a new machine: every file is hashed. The files
  are in the page cache, as they are once they were downloaded; `unread` is the same without. It is
  `again` with the folder of the start before, as after a crash.
- A worker's memory is what it alone holds, after it has answered; pages of mapped files, which all
  share and the kernel may drop, are not. `beyond` is that without the memory of an interpreter that
  has the same libraries loaded.
- Seconds of the processor are given too: on a busy machine they are what a start costs.

Exit code 0: goals met. 1: one was missed. 2: it could not be measured as asked.

    python -m loadtests.starting --items 1000000 --out docs/results
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests.provenance import arguments, commit, document
from loadtests.reliability.asking import ask
from loadtests.reliability.pairs import Pair, find_pairs, make_runs
from loadtests.reliability.running import RunningService, ServiceError
from loadtests.verdict import Threshold, as_table, judge

ROW = "starting"
DIMS = (24, 20, 20)  # of the segments of a pair made here
WORKERS, REQUESTS, K = 3, 300, 500
MIB = 2**20
BARE = (
    "import service.cli, service.app, service.api.door\n"
    "print(open('/proc/self/smaps_rollup').read())"
)
TEXTS = {
    "cold_s": "cold start to ready, files in the page cache, s",
    "cold_cpu_s": "… of the processor's time",
    "unread_s": "cold start to ready, files on disk alone, s",
    "unread_cpu_s": "… of the processor's time",
    "again_s": "start after a crash to ready, s",
    "again_cpu_s": "… of the processor's time",
    "bare_mib": "an interpreter with the libraries, MiB of its own",
    "worker_mib": "the largest of three workers, after answering, MiB of its own",
    "beyond_mib": "… beyond the interpreter and the libraries",
    "shared_mib": "files that they share, MiB",
}
INTRO = """# Starting

How soon `csmf-serve` answers, and what memory a worker takes for itself; `loadtests/starting.py`
says how both are measured. What makes them so: [building.md](building.md).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run as told by `argv`; the exit code."""
    options = _parser().parse_args(argv)
    began, measured = datetime.now(UTC), commit()
    try:
        with tempfile.TemporaryDirectory(prefix="csmf-starting-") as scratch:
            work = options.work or Path(scratch)
            pair = (
                published(options.releases)
                or find_pairs(make_runs(work, [ROW], options.items, DIMS))[0]
            )
            figures = measure(pair, work, options.rounds)
    except (ServiceError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    verdicts = judge({ROW: figures}, thresholds(int(figures["items"])))
    print(as_table(verdicts))
    if options.out:
        command = ["loadtests.starting", *arguments(argv)]
        written = document(command, began, measured, figures, verdicts)
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / "starting.json"
        path.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(page(written), encoding="utf-8")
    return 0 if all(verdict.met for verdict in verdicts) else 1


def thresholds(items: int) -> list[Threshold]:
    """What must be reached."""
    return [
        Threshold(ROW, "cold_s", at_most=2.0 if items <= 1_000_000 else 3.0),
        Threshold(ROW, "beyond_mib", at_most=60.0),
    ]


def published(releases: Path | None) -> Pair | None:
    """The pair that is CURRENT in a folder, left as it is."""
    if releases is None:
        return None
    try:
        content = (releases / "CURRENT").read_bytes()
    except OSError as error:
        raise ServiceError(f"--releases: expected a published pair: {error}") from error
    names = json.loads(content)
    return Pair(releases, names["run_id"], names["build_id"], content)


def measure(pair: Pair, work: Path, rounds: int) -> dict[str, float]:
    """Starts, one after the other, each stopped at once; then three workers and what they hold."""
    work.mkdir(parents=True, exist_ok=True)
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for kinds in (("unread", "again"), ("cold",)):
            with tempfile.TemporaryDirectory(dir=work) as fresh:
                for kind in kinds:
                    if kind == "unread":
                        forget(pair.releases)
                    seconds, processor_s = start(pair, Path(fresh))
                    times[f"{kind}_s"].append(seconds)
                    times[f"{kind}_cpu_s"].append(processor_s)
    memory = memory_of_workers(pair, work)
    return {
        "items": pair.items,
        **{name: statistics.median(each) for name, each in times.items()},
        **memory,
    }


def forget(folder: Path) -> None:
    """Have the kernel drop the pages of all files, those aside that a process maps."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())  # pages that are not written stay
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def start(pair: Pair, work: Path) -> tuple[float, float]:
    """Seconds until a service is ready, on the clock and of the processor."""
    began = time.monotonic()
    with RunningService(pair.releases, work, "--workers", "1") as service:
        return time.monotonic() - began, processor_seconds(service.workers()[0])


def processor_seconds(process: int) -> float:
    """What a process has used of the processor's time."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of_workers(pair: Pair, work: Path) -> dict[str, float]:
    """Of workers that have answered some requests, and of an interpreter without a pair."""
    users = pair.users()
    with RunningService(pair.releases, work, "--workers", str(WORKERS)) as service:
        for turn in range(REQUESTS):
            ask(service, user=users[turn % len(users)], k=K)
        memory = list(service.memory().values())
    bare = bare_bytes()
    worker = max(each.private for each in memory)
    return {
        "bare_mib": bare / MIB,
        "worker_mib": worker / MIB,
        "beyond_mib": (worker - bare) / MIB,
        "shared_mib": max(each.resident - each.private for each in memory) / MIB,
    }


def bare_bytes() -> int:
    """Memory of an interpreter that has loaded what a worker loads, and nothing else."""
    ran = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=True)  # noqa: S603  our own interpreter
    found = re.search(r"^Anonymous: +(\d+) kB", ran.stdout, re.MULTILINE)
    assert found, ran.stdout  # noqa: S101  the kernel's own format
    return 1024 * int(found[1])


def page(written: Mapping[str, Any]) -> str:
    """The page over a file of figures."""
    figures, machine = written["figures"], written["machine"]
    goals = {each["figure"]: each for each in written["thresholds"]}
    rows = [f"| {figures['items']:,} items | | goal |", "|---|---|---|"]
    for name, text in TEXTS.items():
        goal, value = goals.get(name), f"{figures[name]:.3g}"
        shown = f"**{value}**" if goal and not goal["met"] else value
        rows.append(f"| {text} | {shown} | {goal['bound'] if goal else ''} |")
    table = "\n".join(rows)
    return (
        f"{INTRO}\n{table}\n\nMeasured {written['began'][:16].replace('T', ' ')} on commit "
        f"{written['commit']}, {machine['cores']} cores, load average {machine['load_average']}, "
        f"Python {machine['python']}. A **bold** figure missed its goal. With a load average near "
        "or above the number of cores, go by the processor's time.\n\n"
        f"```\n{written['command']}\n```\n\nAll figures: [starting.json](starting.json).\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.starting", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--releases", type=Path, help="whose published pair to serve; default: one made here")
    add("--items", type=int, default=1_000_000, help="of the pair made here (%(default)s)")
    add("--rounds", type=int, default=5, help="of starts (%(default)s)")
    add("--out", type=Path, help="write starting.json and starting.md to this directory")
    add("--work", type=Path, help="keep releases and logs in this directory")
    return parser


if __name__ == "__main__":
    sys.exit(main())
