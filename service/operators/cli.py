"""csmf-weights: look at and change scenarios' weights.

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
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from service.operators.tables import (
    Json,
    change_table,
    history_table,
    scenario_table,
    weights_table,
)

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 10
BAD_INPUT, AWAY = 2, 1


class RefusedError(Exception):
    """The service refused, or cannot be reached; `code` is the exit code."""

    def __init__(self, message: str, code: int = BAD_INPUT) -> None:
        self.code = code
        super().__init__(message)


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


def call(url: str, method: str, path: str, body: Json | None = None) -> Json:
    """One request to the service. Raises RefusedError with the service's own words."""
    content = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    try:
        request = Request(url.rstrip("/") + path, content, headers, method=method)  # noqa: S310  (the operator chooses the URL)
        with urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            return dict(json.load(response))
    except HTTPError as error:
        raise _refused(error) from None
    except (URLError, OSError, HTTPException, ValueError, TypeError) as error:
        reason = getattr(error, "reason", error)
        raise RefusedError(
            f"{url}: {reason}; start csmf-serve, or name its address with --url or CSMF_URL,"
            f" as {DEFAULT_URL}",
            AWAY,
        ) from None


def _refused(error: HTTPError) -> RefusedError:
    code = AWAY if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR else BAD_INPUT
    try:
        detail = json.load(error)["error"]
    except (ValueError, KeyError, TypeError):
        return RefusedError(f"{error.url}: HTTP {error.code} {error.reason}", code)
    current = detail.get("current")
    now = f"; it is now {current['weights']} by {current['author']}" if current else ""
    return RefusedError(detail["message"] + now, code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="csmf-weights", description="Objective weights in force.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _command(commands, "list", "all scenarios", _list, scenario_table)
    _command(commands, "get", "one scenario", _get, weights_table).add_argument("scenario")
    setting = _command(commands, "set", "set a scenario's weights", _set, change_table)
    setting.add_argument("scenario")
    setting.add_argument("weights", nargs="+", metavar="STAGE=WEIGHT", type=_assignment)
    _add_change(setting)
    history = _command(commands, "history", "versions of a scenario", _history, history_table)
    history.add_argument("scenario")
    history.add_argument("--limit", type=int, default=20, help="most versions shown (20)")
    history.add_argument("--before", type=int, help="only versions below this one")
    rollback = _command(commands, "rollback", "return to an older version", _rollback, change_table)
    rollback.add_argument("scenario")
    rollback.add_argument("--to", type=int, required=True, help="the version to return to")
    _add_change(rollback)
    return parser


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


def _add_change(command: argparse.ArgumentParser) -> None:
    command.add_argument("--reason", required=True, help="why, for those who read the history")
    command.add_argument("--author", default=_login(), help="who [%(default)s]")
    command.add_argument(
        "--expected-version", type=int, help="refuse if the scenario is not at this version"
    )


def _assignment(text: str) -> tuple[str, float]:
    stage, _, value = text.partition("=")
    try:
        return stage, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected STAGE=NUMBER, as click=1.8, got {text!r}"
        ) from None


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"


def _path(args: argparse.Namespace, rest: str = "") -> str:
    return f"/scenarios/{quote(args.scenario, safe='')}/weights{rest}"


def _changed(args: argparse.Namespace) -> Json:
    change = {"author": args.author, "reason": args.reason}
    if args.expected_version is not None:
        change["expected_version"] = args.expected_version
    return change


def _list(args: argparse.Namespace) -> Json:
    return call(args.url, "GET", "/scenarios")


def _get(args: argparse.Namespace) -> Json:
    return call(args.url, "GET", _path(args))


def _set(args: argparse.Namespace) -> Json:
    weights = dict(args.weights)
    if len(weights) < len(args.weights):
        raise RefusedError(f"expected each stage once, got {[name for name, _ in args.weights]}")
    return call(args.url, "PUT", _path(args), {"weights": weights, **_changed(args)})


def _history(args: argparse.Namespace) -> Json:
    query = {"limit": args.limit} | ({} if args.before is None else {"before": args.before})
    return call(args.url, "GET", _path(args, f"/history?{urlencode(query)}"))


def _rollback(args: argparse.Namespace) -> Json:
    return call(
        args.url, "POST", _path(args, "/rollback"), {"to_version": args.to, **_changed(args)}
    )


if __name__ == "__main__":
    sys.exit(main())
