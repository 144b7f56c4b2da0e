"""The command: search benchmark, growth, or the page from what both left.

    python -m index_builder.bench --releases DIR --items 1000000 --out docs/results/bench
    python -m index_builder.bench growth --releases DIR --out docs/results/bench
    python -m index_builder.bench page

`make bench` makes the releases too: docs/results/bench.md says what is measured and how.
Exit codes: 0 written, 2 releases that cannot be used.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

BAD_INPUT = 2
OUT = Path(__file__).parents[2] / "docs" / "results" / "bench"
GROWTH = (10_000, 30_000, 100_000, 200_000, 500_000, 1_000_000, 4_000_000)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("csmf").setLevel(logging.INFO)
    # Imported only now: each contender's process imports this module too, and loads only its own.
    from bundle.errors import BundleError  # noqa: PLC0415
    from index_builder.bench import run  # noqa: PLC0415
    from index_builder.errors import InputError  # noqa: PLC0415

    try:
        if arguments.what == "search":
            run.search(arguments)
        elif arguments.what == "growth":
            run.growth(arguments)
    except (BundleError, InputError) as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_INPUT
    sys.stdout.write(f"{run.write_page(arguments.out)}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m index_builder.bench",
        description="Our search beside what anyone would pick instead, on the same vectors.",
    )
    add = parser.add_argument
    what = ("search", "growth", "page")
    add("what", nargs="?", choices=what, default="search", help="default: %(default)s")
    add("--releases", type=Path, help="whose CURRENT pair is enlarged; without, synthetic vectors")
    add("--items", type=_positive, default=1_000_000, help="catalogue (%(default)s)")
    add("--out", type=Path, default=OUT, help="for figures and pictures; the page lies beside it")
    add(
        "--work", type=Path, help="keeps vectors and indexes for another run (default: a temporary)"
    )
    add("--users", type=_positive, default=64, help="asked under each weighting (%(default)s)")
    add("--rounds", type=_positive, default=9, help="of timing (%(default)s)")
    add("--timed", type=_positive, default=60, help="queries a round (%(default)s)")
    add("--clock", choices=("wall", "processor"), default="wall", help="of times (%(default)s)")
    add("--contenders", type=_names, help="NAME,NAME: only these")
    add("--all-variants", action="store_true", help="each contender's every build, to choose from")
    add(
        "--quick",
        action="store_true",
        help="one kind of graph, none over synthetic vectors and fewer of these, coarse curves",
    )
    add("--layout-items", type=_positive, default=250_000, help="of MVKE and DMMP (%(default)s)")
    add("--sizes", type=_numbers, default=GROWTH, help="growth: N,N to fit")
    add("--check", type=_positive, default=2_000_000, help="growth: held out (%(default)s)")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(_positive(each) for each in _names(text))


if __name__ == "__main__":
    sys.exit(main())
