"""Refuses what is larger than the operator allows, each by its field.

The body as a whole is bounded before it is parsed (middleware.py); these bounds keep one request
from costing as much as a thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from service.api.errors import ApiError
from service.api.schemas import RetrieveRequest
from service.settings import Settings
from service.snapshots.snapshot import Snapshot


def check_limits(body: RetrieveRequest, snapshot: Snapshot, settings: Settings) -> None:
    """Raises ApiError for the first thing that is too large."""
    if body.k > settings.max_k:
        raise ApiError(422, "invalid_value", "k", body.k, f"a number from 1 to {settings.max_k}")
    for field, length, longest in _lengths(body, snapshot, settings):
        if length > longest:
            expected = f"at most {longest} entries"
            raise ApiError(422, "invalid_value", field, f"{length} entries", expected)
    longest = settings.max_text
    for field, values in _values(body):
        too_long = [value for value in values if type(value) is str and len(value) > longest]
        if too_long:
            expected = f"texts of at most {longest} characters"
            raise ApiError(422, "invalid_value", field, too_long[0], expected)


def _lengths(
    body: RetrieveRequest, snapshot: Snapshot, settings: Settings
) -> Iterator[tuple[str, int, int]]:
    """Each list of the request: its field, its length, the longest allowed."""
    conditions = [(1, each.one_of or (), each.none_of or ()) for each in body.filter]
    yield "exclude", len(body.exclude), settings.max_exclude
    filter_length = sum(one + len(some) + len(none) for one, some, none in conditions)
    yield "filter", filter_length, settings.max_filter
    yield "user", len(body.user), settings.max_features
    for name in snapshot.user_sequences:
        if isinstance(values := body.user.get(name), list):
            yield f"user.{name}", len(values), settings.max_sequence


def _values(body: RetrieveRequest) -> Iterator[tuple[str, Iterable[object]]]:
    """Whatever may be a text."""
    yield "exclude", [max(body.exclude, key=len, default="")]  # often long, and all texts
    for number, each in enumerate(body.filter):
        yield f"filter.{number}", [each.equals, *(each.one_of or ()), *(each.none_of or ())]
    yield "user", body.user
    for name, value in body.user.items():
        yield f"user.{name}", value if isinstance(value, list) else [value]
