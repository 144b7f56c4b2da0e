"""csmf-log: make, convert, inspect and split interaction logs.

Decisions: bad input ends with one line on stderr and exit code 2; results go to stdout, what was
merged or set aside to stderr; an output directory that exists is never touched.

Use: ``csmf-log simulate --out demo/log``; ``csmf-log --help``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from training.datasets.ali_ccp import convert_ali_ccp
from training.datasets.aliexpress import ITEM_CATEGORIES, convert_aliexpress
from training.datasets.beibei import convert_beibei
from training.datasets.simulator import PRESETS, SimulatorSettings, simulate
from training.datasets.trivago import convert_trivago
from training.logs.describe import as_text, describe
from training.logs.errors import LogError
from training.logs.reader import read_log
from training.logs.split import iso, split_log, split_time
from training.logs.writer import refuse_existing, write_log

Commands = argparse._SubParsersAction
STOPPED = 130  # the exit code of Ctrl-C, in every shell


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one sub-command; returns the exit code (2 = bad input)."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # several settings do not fit together
            return _refuse(first["msg"].removeprefix("Value error, "))
        option = "--" + "-".join(str(part) for part in first["loc"]).replace("_", "-")
        return _refuse(f"{option} {first['input']}: {first['msg']}")
    except (LogError, ValueError, OSError) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        print("stopped; no incomplete log was left behind", file=sys.stderr)
        return STOPPED
    return 0


def _refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="csmf-log", description="Interaction logs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_simulate(commands)
    _add_convert(commands)
    _add_describe(commands)
    _add_split(commands)
    return parser


def _add_simulate(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("simulate", help="write a log with known ground truth")
    parser.add_argument("--out", type=Path, required=True, help="directory to create")
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), default="demo", help="starting values (default: demo)"
    )
    for name, field in SimulatorSettings.model_fields.items():
        kind = field.annotation if isinstance(field.annotation, type) else str
        values = ", ".join(f"{preset}: {getattr(PRESETS[preset], name)}" for preset in PRESETS)
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=kind, help=f"{field.description} ({values})"
        )
    parser.set_defaults(run=_simulate)


def _simulate(arguments: argparse.Namespace) -> None:
    given = {
        name: value
        for name in SimulatorSettings.model_fields
        if (value := getattr(arguments, name)) is not None
    }
    preset = PRESETS[arguments.preset].model_dump()
    settings = SimulatorSettings.model_validate(preset | given)
    refuse_existing(arguments.out)
    simulate(settings, arguments.out)
    print(f"wrote {settings.requests:,} requests to {arguments.out}")


def _add_convert(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("convert", help="turn a public data set into a log")
    formats = parser.add_subparsers(required=True, metavar="FORMAT")

    trivago = formats.add_parser("trivago", help="RecSys Challenge 2019: train.csv (or parquet)")
    _add_paths(trivago, "train.csv")
    _add_until(trivago)
    trivago.add_argument(
        "--views",
        choices=("session", "display"),
        default="session",
        help="count clicks and inputs since the session began, or clicks since the list was "
        "displayed and inputs until then (default: session)",
    )
    trivago.set_defaults(
        convert=lambda a: convert_trivago(_single(a), a.out, a.item_features_until, a.views)
    )

    beibei = formats.add_parser("beibei", help="carts and purchases: EHCF's files or u, i, l")
    _add_paths(beibei, "directory of cart.csv, buy.train.txt, buy.test.txt; or one table")
    beibei.add_argument(
        "--test-carts",
        choices=("test", "train"),
        default="test",
        help="the side that gets the carts of test purchases (default: test)",
    )
    beibei.set_defaults(convert=lambda a: convert_beibei(_single(a), a.out, a.test_carts))

    aliexpress = formats.add_parser("aliexpress", help="search impressions: train.csv test.csv")
    _add_paths(aliexpress, "files in time order, the test side last")
    _add_until(aliexpress)
    aliexpress.add_argument(
        "--item-key",
        nargs="+",
        default=ITEM_CATEGORIES,
        metavar="COLUMN",
        help="item-side columns that tell items apart (default: categorical_10 … 16)",
    )
    aliexpress.set_defaults(
        convert=lambda a: convert_aliexpress(a.input, a.out, a.item_features_until, a.item_key)
    )

    ali_ccp = formats.add_parser("ali-ccp", help="processed impressions: train.csv test.csv")
    _add_paths(ali_ccp, "files in time order, the test side last")
    _add_until(ali_ccp)
    ali_ccp.set_defaults(convert=lambda a: convert_ali_ccp(a.input, a.out, a.item_features_until))
    parser.set_defaults(run=_convert)


def _add_paths(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--input", type=Path, nargs="+", required=True, help=what)
    parser.add_argument("--out", type=Path, required=True, help="directory to create")


def _add_until(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--item-features-until",
        type=_moment,
        help="item features see events before this time only (default: 80%% of the requests)",
    )


def _single(arguments: argparse.Namespace) -> Path:
    if len(arguments.input) != 1:
        raise ValueError(f"--input takes one path for this format, got {len(arguments.input)}")
    path: Path = arguments.input[0]
    return path


def _convert(arguments: argparse.Namespace) -> None:
    refuse_existing(arguments.out)
    for note in arguments.convert(arguments):
        print(note, file=sys.stderr)
    print(f"wrote {arguments.out}")


def _add_describe(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("describe", help="counts, funnel, coverage, irregularities")
    parser.add_argument("log", type=Path, help="log directory")
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.set_defaults(run=_describe)


def _describe(arguments: argparse.Namespace) -> None:
    found = describe(arguments.log)
    print(json.dumps(found.as_json(), indent=2) if arguments.json else as_text(found))


def _add_split(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("split", help="write OUT/train and OUT/test, divided by time")
    parser.add_argument("log", type=Path, help="log directory")
    parser.add_argument("--out", type=Path, required=True, help="directory to create")
    at = parser.add_mutually_exclusive_group()
    at.add_argument("--at", type=_moment, help="first moment of the test side, ISO 8601 or Unix ms")
    at.add_argument(
        "--test-share",
        type=float,
        default=0.2,
        help="share of the latest requests for the test side (default: 0.2); a log with its own "
        "split (test_from) keeps that",
    )
    parser.set_defaults(run=_split)


def _split(arguments: argparse.Namespace) -> None:
    refuse_existing(arguments.out)
    log = read_log(arguments.log)
    for finding in log.report.findings:
        print(finding, file=sys.stderr)
    at_ms = arguments.at if arguments.at is not None else split_time(log, arguments.test_share)
    for side, part in zip(("train", "test"), split_log(log, at_ms), strict=True):
        write_log(part, arguments.out / side)
        print(f"{side}: {part.requests.height:,} requests, {part.events.height:,} events")
    print(f"split at {iso(at_ms)} ({at_ms})")


def _moment(text: str) -> int:
    """Unix milliseconds, or ISO 8601 (UTC unless it says otherwise)."""
    if text.lstrip("-").isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is neither Unix milliseconds nor ISO 8601, e.g. 2024-01-12T00:00:00"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


if __name__ == "__main__":
    sys.exit(main())
