"""Attacks on what a bundle says of its stages."""

from __future__ import annotations

from bundle import errors
from corpus.attack import Target, attack
from corpus.tools import edit, load, save


@attack("B1", errors.InvalidFieldError)
def no_stage(target: Target) -> None:
    edit(target.bundle / "bundle.json", segments=[])


@attack("B1", errors.InvalidFieldError)
def repeated_stage(target: Target) -> None:
    segments = [{"stage": "click", "size": size} for size in (6, 5, 5)]
    edit(target.bundle / "bundle.json", segments=segments)


@attack("B1", errors.InvalidFieldError)
def empty_segment(target: Target) -> None:
    manifest = load(target.bundle / "bundle.json")
    manifest["segments"][1]["size"] = 0
    save(target.bundle / "bundle.json", manifest)


@attack("B2", errors.InvalidFieldError)
def weight_missing_for_a_stage(target: Target) -> None:
    edit(target.bundle / "bundle.json", default_weights={"exposure": 1.0, "click": 1.0})


@attack("B2", errors.InvalidFieldError)
def weights_all_zero(target: Target) -> None:
    zero = dict.fromkeys(("exposure", "click", "conversion"), 0.0)
    edit(target.bundle / "bundle.json", default_weights=zero)


@attack("B3", errors.InvalidFieldError)
def certificate_missing_for_a_stage(target: Target) -> None:
    manifest = load(target.bundle / "bundle.json")
    manifest["certificates"].pop()
    save(target.bundle / "bundle.json", manifest)


@attack("B3", errors.InvalidFieldError)
def certificate_that_admits_a_change(target: Target) -> None:
    manifest = load(target.bundle / "bundle.json")
    manifest["certificates"][0]["upstream_bitwise_equal"] = False
    save(target.bundle / "bundle.json", manifest)
