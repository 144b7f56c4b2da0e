"""csmf-keys: make, list and revoke the keys of callers, in the file that CSMF_KEYS_FILE names.

Decisions
- A key is shown once, alone on stdout, so that it can go straight into a secret store; the file
  keeps its hash only.
- It works on the file, as the user the service runs as; running services follow within a second.

    csmf-keys new ranker --role retrieve --file keys.json
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from service.access.keys import ROLES, KeysError, add_key, read_keys, revoke
from service.operators.tables import table

BAD_INPUT = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    args = _parser().parse_args(argv)
    try:
        args.do(args)
    except KeysError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="csmf-keys", description="Keys of the service's callers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    file = argparse.ArgumentParser(add_help=False)
    default = os.environ.get("CSMF_KEYS_FILE") or None
    file.add_argument(
        "--file",
        type=Path,
        default=default,
        required=default is None,
        help="file of the keys [CSMF_KEYS_FILE]",
    )
    for name, text, do in (
        ("new", "make a key, print it once, keep its hash", _new),
        ("list", "names and roles", _list),
        ("revoke", "refuse a key from now on", _revoke),
    ):
        command = commands.add_parser(name, help=text, description=text, parents=[file])
        command.set_defaults(do=do)
        if do is not _list:
            command.add_argument("name", help="whose key it is")
        if do is _new:
            roles = "what it may do; each role may do what those before it may"
            command.add_argument("--role", choices=ROLES, required=True, help=roles)
    return parser


def _new(args: argparse.Namespace) -> None:
    key = add_key(args.file, args.name, args.role)
    print("This key is shown once; its holder puts it into CSMF_KEY:", file=sys.stderr)
    print(key)


def _list(args: argparse.Namespace) -> None:
    rows = [(key.name, key.role, f"{key.created:%Y-%m-%d %H:%M}") for key in read_keys(args.file)]
    print(table([("name", "role", "created (UTC)"), *rows]))


def _revoke(args: argparse.Namespace) -> None:
    revoke(args.file, args.name)
    print(f"{args.name} is refused from now on", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
