"""Attacks on what CURRENT names."""

from __future__ import annotations

from bundle import errors
from corpus.attack import Target, attack
from corpus.tools import edit


@attack("C1", errors.NotPublishedError)
def nothing_published(target: Target) -> None:
    (target.releases / "CURRENT").unlink()


@attack("C2", errors.HashMismatchError)
def current_of_an_older_bundle(target: Target) -> None:
    edit(target.releases / "CURRENT", bundle_sha256="2" * 64)


@attack("C2", errors.HashMismatchError)
def index_replaced_after_publishing(target: Target) -> None:
    edit(target.index / "index.json", built_at="2020-01-01T00:00:00+00:00")
