"""What a run shows while it trains: a bar on a terminal, log lines elsewhere, TensorBoard scalars.

Decisions
- Rates and times go to people and to TensorBoard, never into the bundle.
- TensorBoard's steps count over the whole run, so the phases follow each other on one axis.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

LOG_SECONDS, SCALAR_STEPS = 10.0, 20
logger = logging.getLogger("training")


class ProgressReport:
    """Tells terminal or log, and TensorBoard, how far the phases are."""

    def __init__(self, directory: Path) -> None:
        self._scalars = SummaryWriter(str(directory))

    def start(self, phase: str, steps: int, done: int, before: int) -> None:
        """A phase of `steps` begins, or goes on after `done`; `before` were made in others."""
        self._phase, self._steps, self._first, self._done = phase, steps, done, done
        self._before = before
        self._loss, self._positives, self._began = 0.0, 0, time.monotonic()
        self._spoke = self._began
        self._bar = tqdm(
            desc=phase,
            total=steps,
            initial=done,
            unit="step",
            disable=not sys.stderr.isatty(),
        )

    def step(self, loss: float, positives: int) -> None:
        """One step was made; `loss` is smoothed for display."""
        self._done += 1
        self._positives += positives
        self._loss = loss if self._loss == 0.0 else 0.95 * self._loss + 0.05 * loss
        self._bar.update()
        if self._done % SCALAR_STEPS == 0:
            self._record(loss)
        if self._bar.disable and time.monotonic() - self._spoke >= LOG_SECONDS:
            self._speak()

    def end(self) -> None:
        """The phase is over."""
        self._bar.close()
        if self._bar.disable:
            self._speak()
        self._scalars.flush()

    def _record(self, loss: float) -> None:
        self._bar.set_postfix_str(f"loss {self._loss:.3f}, {self._rate():,.0f} positives/s")
        where = self._before + self._done
        name = self._phase.replace(" ", "_")
        self._scalars.add_scalar(f"loss/{name}", loss, where)
        self._scalars.add_scalar("positives_per_second", self._rate(), where)

    def _speak(self) -> None:
        self._spoke = time.monotonic()
        made = max(self._done - self._first, 1)
        left = (self._steps - self._done) * (self._spoke - self._began) / made
        logger.info(
            "%s: step %d of %d, loss %.3f, %s positives/s, %.0f s left",
            self._phase,
            self._done,
            self._steps,
            self._loss,
            f"{self._rate():,.0f}",
            left,
        )

    def _rate(self) -> float:
        return self._positives / max(time.monotonic() - self._began, 1e-9)
