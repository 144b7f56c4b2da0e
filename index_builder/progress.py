"""Progress with rate and time left: a bar on a terminal, a log line every ten seconds elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tqdm import tqdm

LINE_SECONDS = 10.0
log = logging.getLogger("csmf.index")


@dataclass
class Progress:
    """Counts `total` units of one phase; call `advance` as they are done."""

    phase: str
    unit: str
    total: int
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    _said: float = field(default_factory=time.monotonic)
    _bar: tqdm | None = None

    def __post_init__(self) -> None:
        if sys.stderr.isatty():
            self._bar = tqdm(total=self.total, desc=self.phase, unit=f" {self.unit}", leave=False)

    def advance(self, units: int) -> None:
        """Count `units` as done."""
        self.done += units
        if self._bar is not None:
            self._bar.update(units)
        elif time.monotonic() - self._said >= LINE_SECONDS:
            self._said = time.monotonic()
            rate = self.done / max(self._said - self.started, 1e-9)
            left = (self.total - self.done) / rate
            log.info(
                "%s: %d of %d %s, %.3g/s, %.0f s left",
                *(self.phase, self.done, self.total, self.unit, rate, left),
            )

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()


class Phases:
    """Wall-clock seconds of each phase, in the order they ran; of one that ran twice, of both."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str, unit: str = "steps", total: int = 1) -> Iterator[Progress]:
        """Time one phase and show its progress."""
        progress = Progress(phase, unit, total)
        try:
            yield progress
        finally:
            progress.close()
        spent = time.monotonic() - progress.started
        self.seconds[phase] = self.seconds.get(phase, 0.0) + spent
        log.info("%s: done in %.1f s", phase, spent)
