"""The study as a command: make the logs, tune, train, judge, write the page.

    python -m training.paper --out docs/results/paper --work paper-work [--quick] [--jobs 2]
                             [--raw trivago=FILE --raw beibei=FILE] [--logs dense,conflict]
                             [--parts tables,sweeps]

Decisions
- What has been made is not made again, so the same command goes on after any stop.
- The tables of all logs come before ablations and sweeps, which are half of the work.
- Only the parts that are asked for are measured and written anew; the page shows all that are kept
  in --out, each with where it was measured.
- Logs whose raw file is not given are left out and named.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from training.errors import ConfigError
from training.logs.cli import main as make_log
from training.paper.page import keep_parts, write_page
from training.paper.run import Found, judged_file, load_found
from training.paper.schedule import Run, run_all
from training.paper.study import (
    FULL,
    JUDGED_BRIEFLY,
    PARTS,
    QUICK,
    Kind,
    Study,
    StudyLog,
    Variant,
)
from training.paper.tune import (
    SEEDS,
    choose,
    read_choices,
    trial_variants,
    tuned_settings,
    without_choice,
    write_choices,
)

logger = logging.getLogger("training")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study; returns the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logger.setLevel(logging.INFO)
    study = QUICK if arguments.quick else FULL
    try:
        kinds, raw = _kinds(arguments.parts), _raw_files(arguments.raw)
        logs = [log for log in _chosen(study, arguments.logs) if _given(log, raw)]
        for log in logs:
            _make_log(log, arguments.work / log.name, raw)
        for kind in kinds:
            for log in logs:
                _run_part(study, log, study.needed(kind, log), arguments)
        keep_parts(study, logs, kinds, arguments.work, arguments.out)
        print(write_page(study, arguments.out))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.paper", description="Measure the paper's tables and figures."
    )
    parser.add_argument("--out", type=Path, required=True, help="where the page is written")
    parser.add_argument("--work", type=Path, required=True, help="logs, bundles and findings")
    parser.add_argument("--quick", action="store_true", help="small logs, two seeds, no tuning")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="default: cores")
    parser.add_argument("--logs", help="only these, by name, separated by commas")
    parser.add_argument("--parts", help=f"only these of {', '.join(PARTS)}, separated by commas")
    parser.add_argument(
        "--raw", action="append", default=[], metavar="NAME=FILE", help="a public log's raw file"
    )
    return parser


def _raw_files(words: Sequence[str]) -> dict[str, Path]:
    files = {}
    for word in words:
        name, equals, file = word.partition("=")
        if not equals or not Path(file).exists():
            raise ConfigError(f"--raw: expected NAME=FILE of an existing file, got {word!r}")
        files[name] = Path(file)
    return files


def _kinds(names: str | None) -> list[Kind]:
    wanted = names.split(",") if names else PARTS
    if missing := [name for name in wanted if name not in PARTS]:
        raise ConfigError(f"--parts: expected some of {', '.join(PARTS)}, got {missing}")
    return [kind for kind in PARTS if kind in wanted]


def _chosen(study: Study, names: str | None) -> list[StudyLog]:
    known = {log.name: log for log in study.logs}
    wanted = names.split(",") if names else list(known)
    missing = [name for name in wanted if name not in known]
    if missing:
        raise ConfigError(f"--logs: expected some of {sorted(known)}, got {missing}")
    return [known[name] for name in wanted]


def _given(log: StudyLog, raw: dict[str, Path]) -> bool:
    if log.raw is None or log.raw in raw:
        return True
    logger.warning("%s: left out; give --raw %s=FILE", log.title, log.raw)
    return False


def _make_log(log: StudyLog, work: Path, raw: dict[str, Path]) -> None:
    said = work / "log.command"  # whoever draws a log anew must not judge runs of another
    if (work / "log").exists():
        if not said.exists() or said.read_text("utf-8") != " ".join(log.command):
            raise ConfigError(
                f"{work / 'log'}: expected what `csmf-log {' '.join(log.command)}` makes, found a "
                "log that was made otherwise: delete it with what was judged on it, or give "
                "another --work"
            )
        return
    filled = {"raw": str(raw.get(log.raw or "", "")), "out": str(work / "log")}
    if make_log([word.format(**filled) for word in log.command]) != 0:
        raise ConfigError(f"{log.title}: its log could not be made; see above")
    said.write_text(" ".join(log.command), "utf-8")


def _run_part(
    study: Study, log: StudyLog, part: Sequence[tuple[Variant, int]], arguments: argparse.Namespace
) -> None:
    if not part:
        return
    work: Path = arguments.work / log.name
    choice = _tuned(study, log, work, arguments)
    runs = [
        _run(work, log, variant, seed, tuned_settings(choice, variant)) for variant, seed in part
    ]
    if runs:
        run_all(runs, arguments.jobs, log.title)


def _tuned(
    study: Study, log: StudyLog, work: Path, arguments: argparse.Namespace
) -> dict[str, object]:
    """The choice for this log; made now, of methods that have none, where its own trials choose."""
    choices = read_choices(arguments.out)
    own = study.trials > 1 and log.tuned_on == log.name
    if study.trials > 1 and log.tuned_on and not own and log.tuned_on not in choices:
        raise ConfigError(
            f"--logs: {log.name} runs with what the trials of {log.tuned_on} choose, which are not "
            f"in {arguments.out}: run {log.tuned_on} first"
        )
    made = choices.get(log.name, {})
    tuned = without_choice(made, trial_variants(study.tuned(log), study.trials)) if own else []
    if tuned:
        trials = [trial for _, each in tuned for trial in each]
        runs = [_run(work, log, trial, seed, ()) for trial in trials for seed in range(SEEDS)]
        run_all(runs, arguments.jobs, f"{log.title}, tuning")
        choices[log.name] = made | choose(log, tuned, partial(_trials_found, work))
        write_choices(arguments.out, choices)
    return dict(choices.get(log.tuned_on or "", {}))


def _trials_found(work: Path, trial: Variant) -> list[Found]:
    return [load_found(judged_file(work, trial, seed)) for seed in range(SEEDS)]


def _run(work: Path, log: StudyLog, variant: Variant, seed: int, tuned: tuple[str, ...]) -> Run:
    settings = (*log.settings, *JUDGED_BRIEFLY, *tuned)
    return Run(work / "log", work, variant, seed, settings)
