"""csmf-train: train a bundle from a log, explain the configuration, sweep the weights of a release.

    csmf-train --log DIR --out releases/ [--preset default|plain|paper] [--method NAME]
               [--config FILE] [--set key=value]
    csmf-train config [--preset NAME] [--method NAME]    every setting, its value, its meaning
    csmf-train sweep RELEASE --log DIR --out DIR
    csmf-train compare RELEASE --log DIR --out FILE [--context FEATURE] [--recent FEATURE]

Decisions: the bundle's directory and hash go to stdout, everything else to stderr; bad input is one
line and exit code 2. Killed at any moment, the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from bundle.errors import BundleError
from training.errors import BadInputError, ConfigError, DefectError
from training.logs.errors import LogError
from training.presets import METHODS, PRESETS, describe_config, load_config

STOPPED = 130  # the exit code of Ctrl-C, in every shell


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = _COMMANDS.get(words[0] if words else "")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("training").setLevel(logging.INFO)
    try:
        return command(words[1:]) if command else _train(words)
    except (BadInputError, LogError, BundleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except DefectError as error:
        print(f"error: {error}; nothing was released", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        goes_on = "" if command else "; the same command goes on from its last checkpoint"
        print(f"stopped{goes_on}", file=sys.stderr)
        return STOPPED
    except OSError as error:  # the disk: full, read-only, or not where it was said to be
        print(f"error: {error}", file=sys.stderr)
        return 1


def _train(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="csmf-train",
        description="Train both towers through all stages of a log's cascade and release them.",
        epilog="Also: csmf-train config, csmf-train sweep, csmf-train compare; each has --help.",
    )
    parser.add_argument("--log", type=Path, required=True, help="directory of the log")
    parser.add_argument("--out", type=Path, required=True, help="directory of releases")
    _add_starting_values(parser)
    parser.add_argument("--config", type=Path, help="YAML file over the preset")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting over the file, such as last.epochs=4; may be repeated",
    )
    arguments = parser.parse_args(words)
    config = load_config(arguments.preset, arguments.config, arguments.set, method=arguments.method)
    from training.run import train_and_release  # noqa: PLC0415  (torch takes seconds)

    for bundle in train_and_release(arguments.log, arguments.out, config):
        print(f"bundle {bundle.directory}")
        print(f"sha256 {bundle.sha256}")
    return 0


def _config(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="csmf-train config", description="Every setting, its value and its meaning."
    )
    _add_starting_values(parser)
    arguments = parser.parse_args(words)
    config = load_config(arguments.preset, method=arguments.method)
    for key, value, meaning in describe_config(config):
        print(f"{key} = {value}\n    {meaning}")
    return 0


def _add_starting_values(parser: argparse.ArgumentParser) -> None:
    presets = ", ".join(PRESETS)
    parser.add_argument("--preset", help=f"one of {presets} (default: default; of rivals, plain)")
    parser.add_argument("--method", default="csmf", help=f"one of {', '.join(METHODS)}")


def _sweep(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="csmf-train sweep",
        description="Judge one release under many weights, without training: writes the front "
        "(front.csv, front.png) and the weights for each goal (recommended.json).",
    )
    parser.add_argument("release", type=Path, help="directory of the bundle")
    parser.add_argument("--log", type=Path, required=True, help="the log it was trained on")
    parser.add_argument("--out", type=Path, required=True, help="directory to write to")
    parser.add_argument(
        "--steps",
        type=int,
        help="weights go in steps of 1/STEPS (default: as fine as 70 settings allow)",
    )
    parser.add_argument("--k", type=int, default=50, help="list length (default: 50)")
    arguments = parser.parse_args(words)
    for option in ("steps", "k"):
        given = getattr(arguments, option)
        if given is not None and given < 1:
            raise ConfigError(f"--{option}: expected at least 1, got {given}")
    from training.evaluation.sweep import sweep  # noqa: PLC0415  (matplotlib takes a second)

    for file in sweep(
        arguments.release, arguments.log, arguments.out, arguments.steps, arguments.k
    ):
        print(file)
    return 0


def _compare(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="csmf-train compare",
        description="Judge one release beside popularity, recent items and co-occurrence.",
    )
    parser.add_argument("release", type=Path, help="directory of the bundle")
    parser.add_argument("--log", type=Path, required=True, help="the log it was trained on")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--context", help="request feature to filter by, such as the searched city")
    parser.add_argument("--recent", help="request feature that lists the user's recent items")
    parser.add_argument("--k", type=int, default=50, help="list length (default: 50)")
    arguments = parser.parse_args(words)
    if arguments.k < 1:
        raise ConfigError(f"--k: expected at least 1, got {arguments.k}")
    from training.evaluation.compare import compare  # noqa: PLC0415  (only this command needs it)

    options = {"context": arguments.context, "recent": arguments.recent, "k": arguments.k}
    print(compare(arguments.release, arguments.log, arguments.out, **options), end="")
    return 0


_COMMANDS = {"config": _config, "sweep": _sweep, "sweep-weights": _sweep, "compare": _compare}


if __name__ == "__main__":
    sys.exit(main())
