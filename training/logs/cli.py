"""csmf-log: make, convert, inspect and split interaction logs.

Decisions: bad input ends with one line on stderr and exit code 2; results go to stdout; an output
directory that exists is never touched.

Use: ``csmf-log simulate --out demo/log``; ``csmf-log --help``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from training.datasets.simulator import PRESETS, SimulatorSettings, simulate
from training.logs.errors import LogError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one sub-command; returns the exit code (2 = bad input)."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + "-".join(str(part) for part in first["loc"]).replace("_", "-")
        return _refuse(f"{option} {first['input']}: {first['msg']}")
    except (LogError, ValueError) as error:
        return _refuse(str(error))
    return 0


def _refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="csmf-log", description="Interaction logs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_simulate(commands)
    return parser


def _add_simulate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
    simulate(settings, arguments.out)
    print(f"wrote {settings.requests:,} requests to {arguments.out}")


if __name__ == "__main__":
    sys.exit(main())
