"""csmf-features: fill the feature store from a table of users, and look at one of them.

Decisions
- It works on the store and the bundle that the service's settings name, CSMF_FEATURES_URL and
  CSMF_RELEASES: what it lets pass is what the service reads. `--release` names another bundle, to
  load the features of one that is not published yet.
- The URL may hold a password, so it is no argument.
- Only loading needs pyarrow, which the service's machines do without.

    csmf-features load users.parquet
    csmf-features show u00014
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import orjson
import redis

from bundle.errors import BundleError
from bundle.features import FeatureError
from bundle.schema import FeatureSchema
from bundle.store import read_bundle, read_current
from service.features.known import FeaturesUrlError
from service.features.layout import SEEN, USER, connect, key_of
from service.operators.tables import table
from service.settings import Settings, SettingsError, read_settings

AWAY, BAD_INPUT = 1, 2
SHOWN = 60  # characters of a value
SEEN_SHOWN = 10


class UnusableError(Exception):
    """What the command cannot do, in one line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    args = _parser().parse_args(argv)
    try:
        settings = read_settings()
        args.do(args, settings, _schema(args.release, settings))
    except redis.RedisError as error:
        return _refuse(f"Redis: {error}", AWAY)
    except (UnusableError, SettingsError, BundleError, FeaturesUrlError, OSError) as error:
        return _refuse(str(error), BAD_INPUT)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="csmf-features", description="Users' features in the Redis of CSMF_FEATURES_URL."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    bundle = argparse.ArgumentParser(add_help=False)
    text = "folder of the bundle that reads them; else the one published in CSMF_RELEASES"
    bundle.add_argument("--release", type=Path, help=text)
    load = commands.add_parser("load", help="write the users of a table", parents=[bundle])
    load.add_argument("file", type=Path, help="parquet: user_id, and a column per feature")
    load.set_defaults(do=_load)
    show = commands.add_parser("show", help="what is kept of a user", parents=[bundle])
    show.add_argument("user", help="the user's id")
    show.set_defaults(do=_show)
    return parser


def _schema(release: Path | None, settings: Settings) -> FeatureSchema:
    if not settings.features_url.get_secret_value():
        raise UnusableError("CSMF_FEATURES_URL is not set: expected the URL of the feature store")
    if release is None:
        release = settings.releases / read_current(settings.releases).run_id
    return read_bundle(release).schema


def _load(args: argparse.Namespace, settings: Settings, schema: FeatureSchema) -> None:
    try:
        from tqdm import tqdm  # noqa: PLC0415  (this command's own needs, as said above)

        from service.features.filling import FillError, check, fill, open_users  # noqa: PLC0415
    except ImportError as error:
        raise UnusableError(f"{error}: pip install 'csmf-retrieval[features]'") from None
    try:
        users = open_users(args.file, schema)
        for phase in ("checking", "writing"):
            with tqdm(total=users.rows, desc=phase, unit=" users", disable=None) as bar:
                if phase == "checking":
                    check(users, bar.update)
                else:
                    fill(users, settings.features_url.get_secret_value(), bar.update)
    except FillError as error:
        raise UnusableError(str(error)) from None
    print(f"{users.rows} users have {', '.join(users.features)}")
    if users.left_out:
        print(f"left out, as the bundle does not read them: {', '.join(users.left_out)}")


def _show(args: argparse.Namespace, settings: Settings, schema: FeatureSchema) -> None:
    with connect(settings.features_url.get_secret_value()) as store:
        kept = cast("dict[bytes, bytes]", store.hgetall(key_of(USER, args.user)))
        seen = store.zrevrange(key_of(SEEN, args.user), 0, SEEN_SHOWN - 1, withscores=True)
    newest = cast("list[tuple[bytes, float]]", seen)
    rows = [
        (name, _short(text), _note(schema, name, text))
        for name, text in sorted((_short(name), text) for name, text in kept.items())
    ]
    print(table([("feature", "value", ""), *rows]) if rows else "no features are kept")
    print(f"\nthe newest items seen, at most {SEEN_SHOWN}:" if newest else "\nno items seen")
    for item_id, time in newest:
        print(f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M}  {_short(item_id)}")


def _note(schema: FeatureSchema, name: str, text: bytes) -> str:
    """Why the service does not use a stored value, if that is so."""
    if name not in {feature.name for feature in schema.user}:
        return "not read by the bundle"
    try:
        schema.encode_user({name: [orjson.loads(text)]}, 1)
    except orjson.JSONDecodeError:
        return "is no JSON"
    except FeatureError as error:
        return f"expected {error.expected}"
    return ""


def _short(text: bytes) -> str:
    shown = text.decode("utf-8", "replace")
    return shown if len(shown) <= SHOWN else shown[:SHOWN] + "…"


def _refuse(problem: str, code: int) -> int:
    print(f"error: {' '.join(problem.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
