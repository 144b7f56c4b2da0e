"""Why a pair was refused, in a handful of words that a gauge can carry."""

from __future__ import annotations

from typing import Literal, get_args

from bundle import errors
from service.snapshots.bounds import SizeError
from service.snapshots.golden import GoldenCheckError
from service.snapshots.turn import LoaderDiedError

Reason = Literal["missing", "malformed", "mismatched", "size", "golden", "crashed", "unreadable"]
REASONS: tuple[Reason, ...] = get_args(Reason)

_REASON_OF: dict[type[Exception], Reason] = {
    errors.NotPublishedError: "missing",
    errors.MissingFileError: "missing",
    errors.WrongBundleError: "mismatched",
    errors.DimensionMismatchError: "mismatched",
    errors.TowerSignatureError: "mismatched",
    errors.BundleError: "malformed",
    SizeError: "size",
    GoldenCheckError: "golden",
    LoaderDiedError: "crashed",
    Exception: "unreadable",  # the disk, FAISS, memory, and what nobody foresaw
}


def reason_of(error: Exception) -> Reason:
    """The word for the nearest kind of error that has one."""
    return next(_REASON_OF[kind] for kind in type(error).__mro__ if kind in _REASON_OF)
