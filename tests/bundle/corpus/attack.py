"""What an attack is, and what it is made on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from support.release import Release, add_delta, add_exact_index, make_release

from bundle import errors
from bundle.store import publish

BUILD = "b1"


@dataclass(frozen=True)
class Attack:
    """One way to break a release."""

    name: str
    rule: str
    error: type[errors.BundleError]
    apply: Callable[[Target], None]


@dataclass(frozen=True)
class Target:
    """The files of a sound release."""

    releases: Path
    bundle: Path
    index: Path
    delta: Path

    @classmethod
    def of(cls, release: Release) -> Target:
        return cls.below(release.releases)

    @classmethod
    def below(cls, releases: Path) -> Target:
        bundle = releases / "tiny"
        return cls(
            releases, bundle, bundle / "index" / BUILD, bundle / "delta" / BUILD / "00000002"
        )


def make_sound(root: Path) -> Target:
    """A small published release to break."""
    release = make_release(root, items=40, users=8, requests=12)
    index = add_exact_index(release, BUILD, attributes=True)
    add_delta(index, 2, kept=[3, 5, 8], removed=[1, 9])
    publish(release.releases, release.run_id, BUILD)
    return Target.of(release)


ATTACKS: list[Attack] = []


def attack(rule: str, error: type[errors.BundleError]) -> Callable[..., Callable[[Target], None]]:
    """Register a function as an attack under its own name."""

    def register(apply: Callable[[Target], None]) -> Callable[[Target], None]:
        ATTACKS.append(Attack(apply.__name__, rule, error, apply))
        return apply

    return register
