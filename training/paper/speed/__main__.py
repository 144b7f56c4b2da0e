"""The command: read the log, measure, write the page.

    python -m training.paper.speed --log DIR --out DIR [--peer-python PYTHON]

Decisions: what is measured, and how, is in `measure.py`; a log that cannot be read, or a peer that
is not installed, is refused in one line.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from training.config import TrainConfig
from training.data import TrainingData, build_training_data
from training.errors import ConfigError
from training.logs.errors import LogError
from training.logs.reader import read_log
from training.logs.split import split_log, split_time
from training.paper.speed.measure import contest, open_peer, phase_rates
from training.paper.speed.page import PEERS, write_speed
from training.trainer import make_deterministic


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the page; the exit code."""
    arguments = _parser().parse_args(argv)
    make_deterministic(threads=1)
    try:
        began = time.process_time()
        data = _read(arguments.log)
        read_seconds = time.process_time() - began
        names = PEERS if arguments.peer_python else ()
        with ExitStack() as stack:
            peers = [
                stack.enter_context(open_peer(arguments.peer_python, name, arguments.log))
                for name in names
            ]
            steps, rounds = arguments.steps, arguments.rounds
            contenders = contest(data, read_seconds, peers, steps, rounds)
        rates = phase_rates(data, steps, rounds)
    except (ConfigError, LogError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    exposures = len(data.positives[0])
    sys.stdout.write(write_speed(arguments.out, arguments.log.name, exposures, contenders, rates))
    return 0


def _read(directory: Path) -> TrainingData:
    log, config = read_log(directory), TrainConfig()
    train, _ = split_log(log, split_time(log, config.split.test_share))
    return build_training_data(train, config.split.min_count)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.paper.speed", description="Measure the speed of training."
    )
    add = parser.add_argument
    add("--log", type=Path, required=True, help="directory of a log with a user table")
    add("--out", type=Path, required=True, help="directory for speed.md and speed.json")
    add("--peer-python", type=Path, help="interpreter with torch-rechub and replay-rec[torch]")
    add("--steps", type=int, default=40, help="of each contender in a round (%(default)s)")
    add("--rounds", type=int, default=5, help="%(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main())
