"""Attacks on JSON documents."""

from __future__ import annotations

import shutil

from bundle import errors
from corpus.attack import Target, attack
from corpus.tools import drop, edit, edit_files, load, save


@attack("J1", errors.MalformedJsonError)
def half_a_manifest(target: Target) -> None:
    path = target.bundle / "bundle.json"
    path.write_bytes(path.read_bytes()[:100])


@attack("J1", errors.MalformedJsonError)
def empty_manifest(target: Target) -> None:
    (target.index / "index.json").write_bytes(b"")


@attack("J1", errors.MalformedJsonError)
def manifest_is_a_list(target: Target) -> None:
    (target.bundle / "bundle.json").write_text("[]")


@attack("J1", errors.MalformedJsonError)
def manifest_is_not_utf8(target: Target) -> None:
    (target.bundle / "bundle.json").write_bytes(b'{"format": "\xff\xfe"}')


@attack("J1", errors.MalformedJsonError)
def manifest_holds_nan(target: Target) -> None:
    manifest = load(target.bundle / "bundle.json")
    manifest["default_weights"]["click"] = float("nan")
    save(target.bundle / "bundle.json", manifest)


@attack("J1", errors.MalformedJsonError)
def manifest_nested_a_hundred_thousand_deep(target: Target) -> None:
    (target.bundle / "bundle.json").write_text("[" * 100_000)


@attack("J1", errors.MalformedJsonError)
def half_written_current(target: Target) -> None:
    (target.releases / "CURRENT").write_text('{"format": "csmf-cur')


@attack("J2", errors.MissingFieldError)
def bundle_without_segments(target: Target) -> None:
    drop(target.bundle / "bundle.json", "segments")


@attack("J2", errors.MissingFieldError)
def index_without_effort(target: Target) -> None:
    drop(target.index / "index.json", "effort")


@attack("J2", errors.MissingFieldError)
def manifest_without_version(target: Target) -> None:
    drop(target.bundle / "bundle.json", "format_version")


@attack("J2", errors.MissingFieldError)
def current_without_hash(target: Target) -> None:
    drop(target.releases / "CURRENT", "index_sha256")


@attack("J3", errors.InvalidFieldError)
def unknown_field(target: Target) -> None:
    edit(target.bundle / "bundle.json", pickle="weights.pkl")


@attack("J3", errors.InvalidFieldError)
def number_as_text(target: Target) -> None:
    edit(target.index / "index.json", items="40")


@attack("J3", errors.InvalidFieldError)
def negative_length(target: Target) -> None:
    edit_files(target.bundle / "bundle.json", "features.json", bytes=-1)


@attack("J3", errors.InvalidFieldError)
def run_id_leads_outside(target: Target) -> None:
    edit(target.releases / "CURRENT", run_id="../elsewhere")


@attack("J3", errors.InvalidFieldError)
def hash_of_another_length(target: Target) -> None:
    edit_files(target.bundle / "bundle.json", "features.json", sha256="abc")


@attack("J4", errors.WrongFormatError)
def index_manifest_in_a_bundle(target: Target) -> None:
    shutil.copy(target.index / "index.json", target.bundle / "bundle.json")


@attack("J5", errors.UnknownVersionError)
def version_from_the_future(target: Target) -> None:
    edit(target.bundle / "bundle.json", format_version=2, something_new=True)


@attack("J5", errors.UnknownVersionError)
def version_true(target: Target) -> None:
    edit(target.bundle / "bundle.json", format_version=True)


@attack("J5", errors.UnknownVersionError)
def index_version_from_the_future(target: Target) -> None:
    edit(target.index / "index.json", format_version=99)
