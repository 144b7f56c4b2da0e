"""Times taken in turns: round by round, each entry answers a block of queries.

Decisions
- Whatever else runs on the machine, runs beside all entries alike: a round asks all of them, each
  round in another order, and a ratio is the median over rounds of the ratio within a round.
- On a machine that is not free, a search longer than a turn of the scheduler is interrupted every
  time, a short one hardly ever: the `processor` clock, the time that the searching thread had, is
  then the fair one. On free cores both are the same.
- A block is the median over its queries. All entries are asked the same ones, in the same order; of
  a slow entry only the first few, as many as take a quarter of a second.

Dimension letters: R rounds, E entries, Q queries, M dims.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index_builder.bench.contenders.contender import Floats
from index_builder.bench.worker import Worker
from index_builder.progress import Progress

BLOCK_S = 0.25
FEWEST = 15  # as many as there are directions of three weights


@dataclass(frozen=True)
class Entry:
    """What is timed: a variant at one list length and the effort of each query."""

    worker: Worker
    variant: str
    k: int
    efforts_Q: NDArray[np.int64]
    clock: str = "wall"

    @property
    def key(self) -> tuple[str, int, bytes]:
        """Equal for what the same worker would do alike."""
        return self.variant, self.k, self.efforts_Q.tobytes()


def alternate(
    entries: Sequence[Entry], queries_QM: Floats, rounds: int, progress: Progress
) -> NDArray[np.float64]:
    """[R, E] seconds of a query; `progress` counts entries, once more for finding their speed."""
    counts = []
    for entry in entries:
        first = _block(entry, queries_QM, FEWEST)
        counts.append(int(np.clip(BLOCK_S / first, FEWEST, len(queries_QM))))
        progress.advance(1)
    seconds_RE = np.empty((rounds, len(entries)))
    for number, seconds_E in enumerate(seconds_RE):
        for place in np.random.default_rng(number).permutation(len(entries)):
            seconds_E[place] = _block(entries[place], queries_QM, counts[place])
            progress.advance(1)
    return seconds_RE


def _block(entry: Entry, queries_QM: Floats, count: int) -> float:
    asked = queries_QM[:count], entry.k, entry.efforts_Q[:count]
    return float(np.median(entry.worker.time(entry.variant, *asked, entry.clock)))


def ratio(seconds_RE: NDArray[np.float64], entry: int, reference: int) -> float:
    """An entry's time over another's: the median over rounds of the ratio within a round."""
    return float(np.median(seconds_RE[:, entry] / seconds_RE[:, reference]))
