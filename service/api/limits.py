"""Refuses what is larger than the operator allows, each by its field.

The body as a whole is bounded before it is parsed (middleware.py); these bounds keep one request
from costing as much as a thousand. Each check raises ApiError for the first thing too large.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from service.api.errors import ApiError
from service.api.schemas import Listed
from service.settings import Settings
from service.snapshots.snapshot import Snapshot

Held = list[Any] | dict[str, Any]


def check_list(body: Listed, settings: Settings) -> None:
    """The list wanted: k, what is excluded, the filter."""
    check_k(body.k, settings)
    if body.exclude_seen and not settings.features_url.get_secret_value():
        expected = "false, as this service keeps no seen items (CSMF_FEATURES_URL)"
        raise ApiError(422, "invalid_value", "exclude_seen", value=True, expected=expected)
    check_ids("exclude", body.exclude, settings.max_exclude, settings)
    conditions = [
        [each.equals, *(each.one_of or ()), *(each.none_of or ())] for each in body.filter
    ]
    _check_length("filter", sum(map(len, conditions)), settings.max_filter)
    for number, values in enumerate(conditions):
        _check_texts(f"filter.{number}", values, settings)


def check_k(k: int, settings: Settings) -> None:
    """The length of a list."""
    if k > settings.max_k:
        raise ApiError(422, "invalid_value", "k", k, f"a number from 1 to {settings.max_k}")


def check_ids(field: str, item_ids: list[str], most: int, settings: Settings) -> None:
    """A list of item ids. Often long, and all texts: only the longest is looked at."""
    _check_length(field, len(item_ids), most)
    _check_texts(field, [max(item_ids, key=len, default="")], settings)


def check_users(
    users: Sequence[Mapping[str, object]], snapshot: Snapshot, settings: Settings
) -> None:
    """Users of a batch."""
    _check_length("users", len(users), settings.max_batch)
    for place, user in enumerate(users):
        check_user(f"users.{place}", user, snapshot, settings)


def check_user(
    field: str, user: Mapping[str, object], snapshot: Snapshot, settings: Settings
) -> None:
    """A user's raw features, and where in the request they are."""
    _check_length(field, len(user), settings.max_features)
    _check_texts(field, user, settings)
    for name, value in user.items():
        if isinstance(value, list | dict):
            longest = max(settings.max_sequence, snapshot.user_vectors.get(name, 0))
            _check_held(f"{field}.{name}", value, longest, settings)
        else:
            _check_texts(f"{field}.{name}", [value], settings)


def _check_held(field: str, value: Held, longest: int, settings: Settings) -> None:
    """A list or an object, which with all that is nested in it counts as one list."""
    held, entries = [value], 0
    while held:  # a level at a time: a large body has hundreds of thousands of them
        inside = [*chain.from_iterable(held)]  # of an object its names
        inside += chain.from_iterable(each.values() for each in held if type(each) is dict)
        entries += len(inside)
        _check_length(field, entries, longest)
        _check_texts(field, inside, settings)
        held = [each for each in inside if type(each) in (list, dict)]


def _check_length(field: str, length: int, most: int) -> None:
    if length > most:
        expected = f"at most {most} entries"
        raise ApiError(422, "invalid_value", field, f"{length} entries", expected)


def _check_texts(field: str, values: Iterable[object], settings: Settings) -> None:
    longest = settings.max_text
    too_long = [value for value in values if type(value) is str and len(value) > longest]
    if too_long:
        expected = f"texts of at most {longest} characters"
        raise ApiError(422, "invalid_value", field, too_long[0], expected)
