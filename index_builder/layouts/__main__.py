"""The command: draw or read vectors, measure, write Table 4.

    python -m index_builder.layouts --items 4000000 --out docs/results/paper [--index DIR]

Exit codes: 0 written, 2 an index that cannot be compared.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np

from bundle.errors import BundleError
from index_builder.errors import InputError
from index_builder.layouts.measure import measure
from index_builder.layouts.release import draw_from_release
from index_builder.layouts.synthetic import draw_synthetic
from index_builder.layouts.table import Setting, write_table
from index_builder.layouts.vectors import Drawn
from index_builder.progress import Phases

BAD_INPUT = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the table; the exit code."""
    arguments = _parser().parse_args(argv)
    setting = Setting(
        items=arguments.items,
        users=arguments.users,
        rounds=arguments.rounds,
        k=arguments.k,
        probes=arguments.probes,
        recall=arguments.recall,
        index=_named(arguments.index),
    )
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("csmf").setLevel(logging.INFO)
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        phases = Phases()
        try:
            with phases("draw items"):
                drawn = _draw(setting, arguments.index, Path(scratch))
        except (BundleError, InputError) as error:
            sys.stderr.write(f"error: {error}\n")
            return BAD_INPUT
        costs = measure(setting, drawn, Path(scratch), phases)
    sys.stdout.write(write_table(arguments.out, setting, drawn, costs))
    return 0


def _draw(setting: Setting, index: Path | None, scratch: Path) -> Drawn:
    rng = np.random.default_rng(setting.seed)
    if index is None:
        return draw_synthetic(setting.items, setting.users, scratch, rng)
    return draw_from_release(index, setting.items, setting.users, scratch, rng)


def _named(index: Path | None) -> str | None:
    """The index within its releases, without the directories of whoever ran it."""
    return None if index is None else "/".join(index.resolve().parts[-3:])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m index_builder.layouts",
        description="Bytes and milliseconds of the ways to serve a multi-objective model.",
    )
    add = parser.add_argument
    add("--index", type=Path, help="built index whose vectors to enlarge (default: synthetic ones)")
    add("--items", type=_positive, default=4_000_000, help="catalogue (%(default)s)")
    add(
        "--users",
        type=_positive,
        default=500,
        help="asked in each round (%(default)s); of an index, at most half its calibration sample",
    )
    add("--rounds", type=_positive, default=15, help="%(default)s")
    add("--k", type=_positive, default=500, help="length of a list (%(default)s)")
    add("--probes", type=_positive, default=128, help="cells a search visits (%(default)s)")
    add("--recall", type=float, default=0.95, help="of the second timing (%(default)s)")
    add("--out", type=Path, required=True, help="directory for table4.md and table4.json")
    add("--scratch", type=Path, help="for vectors and indexes: 1.9 KB an item (default: /tmp)")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
