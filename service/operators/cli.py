"""csmf-weights: look at, try and change scenarios' weights, variants and schedules.

Decisions
- It talks HTTP to a running service. So it works the same for Redis and for the local file, checks
  weights against the stages that are really served, and returns when they are in force.
- Standard library only: an operator's machine needs nothing but this package.
- Each change shows the weights and the scales before and after, because scales are what the search
  uses and they surprise people: they never increase along the cascade.

    csmf-weights set feed exposure=1 click=1.8 conversion=1.2 --reason "more clicks"
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from service.operators.client import DEFAULT_URL, Json, RefusedError, call
from service.operators.tables import (
    change_table,
    history_table,
    preview_table,
    scenario_table,
    weights_table,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    args = _parser().parse_args(argv)
    try:
        answer = args.ask(args)
    except RefusedError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
    print(json.dumps(answer, indent=2) if args.json else args.show(answer))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="csmf-weights", description="Objective weights in force.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _command(commands, "list", "all scenarios", _list, scenario_table)
    _of_scenario(commands, "get", "one scenario", _get, weights_table)
    preview = _of_scenario(
        commands, "preview", "what weights would do to sample users", _preview, preview_table
    )
    _add_weights(preview)
    preview.add_argument("--k", type=int, default=100, help="items per list (%(default)s)")
    preview.add_argument(
        "--users",
        type=Path,
        help="file of raw feature records, one JSON object a line; else the golden queries'",
    )
    history = _of_scenario(commands, "history", "versions of a scenario", _history, history_table)
    history.add_argument("--limit", type=int, default=20, help="most versions shown (20)")
    history.add_argument("--before", type=int, help="only versions below this one")
    _add_changes(commands)
    return parser


def _add_changes(commands: Any) -> None:  # noqa: ANN401  (argparse's own types are private)
    _add_weights(_change(commands, "set", "set a scenario's weights", _set))
    rollback = _change(commands, "rollback", "return to all of an older version", _rollback)
    rollback.add_argument("--to", type=int, required=True, help="the version to return to")
    split = _change(commands, "split", "serve a share of the users with other weights", _split)
    split.add_argument("variant", help="name of the variant, new or not")
    _add_weights(split, "*")
    split.add_argument("--share", type=_share, help="as 5%% or 0.05; else it stays as it is")
    for name, text, ask in (
        ("end", "end a variant: its users get the scenario's weights again", _end),
        ("promote", "make a variant's weights the scenario's own, and end it", _promote),
    ):
        _change(commands, name, text, ask).add_argument("variant")
    schedule = _change(commands, "schedule", "put other weights in force for a time", _schedule)
    _add_weights(schedule)
    time = "as 2026-12-24T18:00; in this machine's zone if it has no offset"
    schedule.add_argument("--from", dest="begin", type=_time, help=f"{time}; else now")
    end = schedule.add_mutually_exclusive_group(required=True)
    end.add_argument("--until", type=_time, help=time)
    end.add_argument("--for-good", action="store_true", help="until the next set or cancel")
    _change(commands, "cancel", "drop the schedule, begun or not", _cancel)


def _command(commands: Any, name: str, text: str, ask: Any, show: Any) -> Any:  # noqa: ANN401  (argparse's own types are private)
    command = commands.add_parser(name, help=text, description=text)
    command.add_argument("--json", action="store_true", help="print the service's answer")
    command.add_argument(
        "--url",
        default=os.environ.get("CSMF_URL", DEFAULT_URL),
        help="address of the service [CSMF_URL, default %(default)s]",
    )
    command.set_defaults(ask=ask, show=show)
    return command


def _of_scenario(commands: Any, name: str, text: str, ask: Any, show: Any) -> Any:  # noqa: ANN401
    command = _command(commands, name, text, ask, show)
    command.add_argument("scenario")
    return command


def _change(commands: Any, name: str, text: str, ask: Any) -> Any:  # noqa: ANN401
    command = _of_scenario(commands, name, text, ask, change_table)
    command.add_argument("--reason", required=True, help="why, for those who read the history")
    command.add_argument("--author", default=_login(), help="who [%(default)s]")
    command.add_argument(
        "--expected-version", type=int, help="refuse if the scenario is not at this version"
    )
    return command


def _add_weights(command: Any, count: str = "+") -> None:  # noqa: ANN401
    command.add_argument("weights", nargs=count, metavar="STAGE=WEIGHT", type=_assignment)


def _assignment(text: str) -> tuple[str, float]:
    stage, _, value = text.partition("=")
    try:
        return stage, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected STAGE=NUMBER, as click=1.8, got {text!r}"
        ) from None


def _share(text: str) -> float:
    try:
        share = Decimal(text.removesuffix("%"))
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"expected a share, as 5% or 0.05, got {text!r}") from None
    return float(share / 100 if text.endswith("%") else share)


def _time(text: str) -> str:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a time, as 2026-12-24T18:00, got {text!r}"
        ) from None
    return (parsed if parsed.tzinfo else parsed.astimezone()).isoformat()


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"


def _path(args: argparse.Namespace, rest: str) -> str:
    return f"/scenarios/{quote(args.scenario, safe='')}/{rest}"


def _variant(args: argparse.Namespace, rest: str = "") -> str:
    return _path(args, f"variants/{quote(args.variant, safe='')}{rest}")


def _signed(args: argparse.Namespace, **fields: object) -> Json:
    """The body of a change; what is None is left out and stays as it is."""
    version = args.expected_version
    signed = {"author": args.author, "reason": args.reason, "expected_version": version}
    return {name: value for name, value in {**signed, **fields}.items() if value is not None}


def _weights(args: argparse.Namespace) -> Json | None:
    weights = dict(args.weights)
    if len(weights) < len(args.weights):
        raise RefusedError(f"expected each stage once, got {[name for name, _ in args.weights]}")
    return weights or None


def _list(args: argparse.Namespace) -> Json:
    return call(args.url, "GET", "/scenarios")


def _get(args: argparse.Namespace) -> Json:
    return call(args.url, "GET", _path(args, "weights"))


def _history(args: argparse.Namespace) -> Json:
    query = {"limit": args.limit} | ({} if args.before is None else {"before": args.before})
    return call(args.url, "GET", _path(args, f"weights/history?{urlencode(query)}"))


def _preview(args: argparse.Namespace) -> Json:
    body = {"weights": _weights(args), "k": args.k}
    if args.users:
        body["users"] = _records(args.users)
    return call(args.url, "POST", _path(args, "preview"), body)


def _records(file: Path) -> list[Json]:
    try:
        return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise RefusedError(f"{file}: {error}; expected one JSON object a line") from None


def _set(args: argparse.Namespace) -> Json:
    return call(args.url, "PUT", _path(args, "weights"), _signed(args, weights=_weights(args)))


def _rollback(args: argparse.Namespace) -> Json:
    body = _signed(args, to_version=args.to)
    return call(args.url, "POST", _path(args, "weights/rollback"), body)


def _split(args: argparse.Namespace) -> Json:
    body = _signed(args, share=args.share, weights=_weights(args))
    return call(args.url, "PUT", _variant(args), body)


def _end(args: argparse.Namespace) -> Json:
    return call(args.url, "POST", _variant(args, "/end"), _signed(args))


def _promote(args: argparse.Namespace) -> Json:
    return call(args.url, "POST", _variant(args, "/promote"), _signed(args))


def _schedule(args: argparse.Namespace) -> Json:
    body = _signed(args, weights=_weights(args), **{"from": args.begin})
    return call(args.url, "PUT", _path(args, "schedule"), {**body, "until": args.until})


def _cancel(args: argparse.Namespace) -> Json:
    return call(args.url, "POST", _path(args, "schedule/cancel"), _signed(args))


if __name__ == "__main__":
    sys.exit(main())
