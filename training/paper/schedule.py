"""Runs many runs: a few processes, each run once, resumable at any moment.

Decisions
- One process a core, one thread a process: a second thread gains less than a second run.
- CSMF's runs come first, whatever their preset: they train the exposure models that all other
  methods then start from.
- A run that fails is named and stops the study; what was found stays, and the same command goes on.
- A study that is killed takes its processes with it: they would go on with what is queued.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from training.paper.run import run_variant, was_judged
from training.paper.study import Variant

logger = logging.getLogger("training")


@dataclass(frozen=True)
class Run:
    """One variant, one seed, on one log."""

    log: Path
    work: Path
    variant: Variant
    seed: int
    settings: tuple[str, ...]

    @property
    def done(self) -> bool:
        """Whether it has been judged. Raises ConfigError if by other settings."""
        return was_judged(self.work, self.variant, self.seed, self.settings)


def run_all(runs: Sequence[Run], jobs: int, title: str) -> None:
    """Make all runs that have not been made: those that train exposure models, then the rest."""
    left = [run for run in runs if not run.done]
    leading = [run for run in left if run.variant.method == runs[0].variant.method]
    following = [run for run in left if run not in leading]
    bar = tqdm(desc=title, total=len(left), unit="run", disable=not sys.stderr.isatty())
    began, made = time.monotonic(), 0
    for wave in (leading, following):
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, context, initializer=_begin) as pool:
            for future in as_completed([pool.submit(_make, run) for run in wave]):
                if future.exception():
                    pool.shutdown(cancel_futures=True)  # what was begun is finished and kept
                name = future.result()
                made += 1
                bar.update()
                if bar.disable:
                    minutes = (time.monotonic() - began) / 60
                    to_go = minutes / made * (len(left) - made)
                    logger.info(
                        "%s: %d of %d, %s; %.0f min left", title, made, len(left), name, to_go
                    )
    bar.close()


def _begin() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    logging.getLogger("training").setLevel(logging.ERROR)
    threading.Thread(target=_end_with_study, daemon=True).start()


def _end_with_study() -> None:
    if study := multiprocessing.parent_process():
        study.join()
        os._exit(1)


def _make(run: Run) -> str:
    name = f"{run.variant.name}, seed {run.seed}"
    try:
        run_variant(run.log, run.work, run.variant, run.seed, run.settings)
    except Exception as error:
        error.add_note(f"in the run {name}, on {run.log}")
        raise
    return name
