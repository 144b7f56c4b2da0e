"""Counts through a long job in batches, with rate and ETA: a bar on a terminal, else log lines.

Use: ``for rows in in_batches(settings.requests, 1024, "request"): …``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from tqdm import tqdm

LOG_SECONDS = 10.0


def in_batches(total: int, size: int, unit: str) -> Iterator[range]:
    """Ranges that cover 0 to ``total``, ``size`` at a time."""
    began = spoke = time.monotonic()
    with tqdm(total=total, unit=f" {unit}", disable=not sys.stderr.isatty()) as bar:
        for start in range(0, total, size):
            rows = range(start, min(start + size, total))
            yield rows
            bar.update(len(rows))
            now = time.monotonic()
            if bar.disable and now - spoke >= LOG_SECONDS:
                spoke = now
                rate = rows.stop / (now - began)
                left = (total - rows.stop) / rate
                sys.stderr.write(
                    f"{rows.stop:,} of {total:,} {unit}s, {rate:,.0f} a second, {left:.0f} s left\n"
                )
