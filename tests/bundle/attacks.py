"""A corpus of broken releases, each with the rule of bundle/SPEC.md it breaks and its error.

    python tests/bundle/attacks.py OUT      writes OUT/<attack>/releases for each, and tries to
                                            open it as the service would

An attack receives a sound, published release and breaks one thing. `resealed` attacks update the
hashes as a careful attacker would, so that only the rule itself can refuse them.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # also run as a script, outside pytest
sys.path.insert(0, str(Path(__file__).parents[2]))

from support.release import Release, add_delta, add_exact_index, make_release

from bundle import errors
from bundle.delta import positions, read_delta
from bundle.files import describe_files
from bundle.store import publish, read_bundle, read_current, read_index, read_pair
from bundle.towers import open_item_tower, open_user_tower

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


def open_as_a_server(releases: Path) -> None:
    """Everything a server verifies before it serves, short of FAISS and the golden queries."""
    current = read_current(releases)
    bundle = read_bundle(releases / current.run_id)
    open_user_tower(bundle)
    open_item_tower(bundle)
    index = read_index(bundle.directory / "index" / current.build_id, bundle)
    read_pair(releases, current)
    for position in positions(index):
        read_delta(index, position)


ATTACKS: list[Attack] = []


def attack(rule: str, error: type[errors.BundleError]) -> Callable[..., Callable[[Target], None]]:
    """Register a function as an attack under its own name."""

    def register(apply: Callable[[Target], None]) -> Callable[[Target], None]:
        ATTACKS.append(Attack(apply.__name__, rule, error, apply))
        return apply

    return register


# --- directories and files ---------------------------------------------------------------------


@attack("F1", errors.MissingFileError)
def bundle_without_manifest(target: Target) -> None:
    (target.bundle / "bundle.json").unlink()


@attack("F1", errors.MissingFileError)
def index_without_manifest(target: Target) -> None:
    (target.index / "index.json").unlink()


@attack("F1", errors.MissingFileError)
def current_names_a_run_that_is_not_there(target: Target) -> None:
    edit(target.releases / "CURRENT", run_id="never-trained")


@attack("F2", errors.MissingFileError)
def missing_tower(target: Target) -> None:
    (target.bundle / "user_tower.onnx").unlink()


@attack("F2", errors.MissingFileError)
def missing_item_vectors(target: Target) -> None:
    (target.index / "item_vectors.npy").unlink()


@attack("F2", errors.MissingFileError)
def directory_in_place_of_a_file(target: Target) -> None:
    (target.bundle / "MODEL_CARD.md").unlink()
    (target.bundle / "MODEL_CARD.md").mkdir()


@attack("F3", errors.TruncatedFileError)
def truncated_tower(target: Target) -> None:
    path = target.bundle / "item_tower.onnx"
    path.write_bytes(path.read_bytes()[:-1])


@attack("F3", errors.TruncatedFileError)
def empty_faiss_index(target: Target) -> None:
    (target.index / "items.faiss").write_bytes(b"")


@attack("F4", errors.ExtraBytesError)
def extra_byte_after_a_tower(target: Target) -> None:
    append(target.bundle / "user_tower.onnx", b"\0")


@attack("F4", errors.ExtraBytesError)
def extra_row_in_the_vectors(target: Target) -> None:
    append(target.index / "item_vectors.npy", b"\0" * 64)


@attack("F5", errors.HashMismatchError)
def one_bit_flipped_in_a_tower(target: Target) -> None:
    flip_last_bit(target.bundle / "user_tower.onnx")


@attack("F5", errors.HashMismatchError)
def one_bit_flipped_in_the_vectors(target: Target) -> None:
    flip_last_bit(target.index / "item_vectors.npy")


@attack("F5", errors.HashMismatchError)
def wrong_hash_in_the_manifest(target: Target) -> None:
    edit_files(target.bundle / "bundle.json", "features.json", sha256="0" * 64)


@attack("F5", errors.HashMismatchError)
def edited_evaluation(target: Target) -> None:
    path = target.bundle / "evaluation.json"
    path.write_bytes(path.read_bytes().replace(b"{", b"["))


@attack("F6", errors.UnlistedFileError)
def extra_file_in_the_bundle(target: Target) -> None:
    (target.bundle / "weights.pkl").write_bytes(b"\x80\x04.")


@attack("F6", errors.UnlistedFileError)
def hidden_file_in_the_index(target: Target) -> None:
    (target.index / ".DS_Store").write_bytes(b"")


@attack("F6", errors.UnlistedFileError)
def folder_of_indexes_in_an_index(target: Target) -> None:
    (target.index / "index").mkdir()


@attack("F7", errors.UnsafePathError)
def path_traversal(target: Target) -> None:
    rename_entry(target, "../../etc/passwd")


@attack("F7", errors.UnsafePathError)
def absolute_path(target: Target) -> None:
    rename_entry(target, "/etc/passwd")


@attack("F7", errors.UnsafePathError)
def windows_path(target: Target) -> None:
    rename_entry(target, "..\\passwd")


@attack("F7", errors.UnsafePathError)
def path_with_a_nul(target: Target) -> None:
    rename_entry(target, "card.md\0.txt")


@attack("F7", errors.UnsafePathError)
def path_with_a_newline(target: Target) -> None:
    rename_entry(target, "MODEL_CARD.md\n")


@attack("F7", errors.UnsafePathError)
def manifest_lists_itself(target: Target) -> None:
    rename_entry(target, "bundle.json")


@attack("F8", errors.UnsafePathError)
def link_in_place_of_a_tower(target: Target) -> None:
    path = target.bundle / "user_tower.onnx"
    path.rename(target.releases / "elsewhere.onnx")
    path.symlink_to(target.releases / "elsewhere.onnx")


@attack("F8", errors.UnsafePathError)
def link_in_place_of_the_manifest(target: Target) -> None:
    path = target.bundle / "bundle.json"
    path.rename(target.releases / "elsewhere.json")
    path.symlink_to(target.releases / "elsewhere.json")


@attack("F9", errors.MissingFieldError)
def required_file_not_listed(target: Target) -> None:
    drop_entry(target.bundle / "bundle.json", "MODEL_CARD.md")


@attack("F9", errors.MissingFieldError)
def golden_set_not_listed(target: Target) -> None:
    drop_entry(target.index / "index.json", "golden.json")


@attack("F10", errors.InvalidFieldError)
def file_listed_twice(target: Target) -> None:
    manifest = load(target.bundle / "bundle.json")
    save(target.bundle / "bundle.json", manifest | {"files": manifest["files"] * 2})


@attack("F11", errors.WrongNameError)
def bundle_under_another_name(target: Target) -> None:
    target.bundle.rename(target.releases / "renamed")
    edit(target.releases / "CURRENT", run_id="renamed")


@attack("F11", errors.WrongNameError)
def bundle_under_an_alias(target: Target) -> None:
    (target.releases / "latest").symlink_to(target.bundle)
    edit(target.releases / "CURRENT", run_id="latest")


@attack("F11", errors.WrongNameError)
def index_under_another_name(target: Target) -> None:
    target.index.rename(target.index.with_name("renamed"))
    edit(target.releases / "CURRENT", build_id="renamed")


# --- JSON ---------------------------------------------------------------------------------------


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


# --- the bundle ---------------------------------------------------------------------------------


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


# --- features and towers, resealed --------------------------------------------------------------


@attack("T1", errors.InvalidFieldError)
def two_features_of_one_name(target: Target) -> None:
    edit_features(target, lambda schema: schema["item"].append(dict(schema["item"][0])))


@attack("T1", errors.InvalidFieldError)
def vocabulary_that_does_not_exist(target: Target) -> None:
    edit_features(target, lambda schema: schema["vocabularies"].pop("brand"))


@attack("T1", errors.InvalidFieldError)
def vocabulary_entry_twice(target: Target) -> None:
    edit_features(target, lambda schema: schema["vocabularies"]["brand"].append("brand1"))


@attack("T1", errors.InvalidFieldError)
def feature_of_unknown_type(target: Target) -> None:
    edit_features(target, lambda schema: schema["item"][0].update(type="graph"))


@attack("T1", errors.InvalidFieldError)
def numeric_feature_with_deviation_zero(target: Target) -> None:
    edit_features(target, lambda schema: schema["item"][2].update(std=0.0))


@attack("T2", errors.InvalidModelError)
def tower_that_is_no_model(target: Target) -> None:
    (target.bundle / "user_tower.onnx").write_bytes(b"not a protobuf")
    reseal_bundle(target)


@attack("T2", errors.InvalidModelError)
def half_a_tower_with_a_matching_hash(target: Target) -> None:
    path = target.bundle / "item_tower.onnx"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    reseal_bundle(target)


@attack("T3", errors.TowerSignatureError)
def swapped_towers(target: Target) -> None:
    user, item = target.bundle / "user_tower.onnx", target.bundle / "item_tower.onnx"
    user.rename(target.bundle / "swap")
    item.rename(user)
    (target.bundle / "swap").rename(item)
    reseal_bundle(target)


@attack("T3", errors.TowerSignatureError)
def feature_that_the_tower_does_not_read(target: Target) -> None:
    more = {"name": "weather", "type": "numeric", "mean": 0.0, "std": 1.0}
    edit_features(target, lambda schema: schema["user"].append(more))


@attack("T3", errors.TowerSignatureError)
def sequence_of_another_length(target: Target) -> None:
    edit_features(target, lambda schema: schema["user"][2].update(max_length=9))


@attack("T4", errors.TowerSignatureError)
def segments_longer_than_the_towers_output(target: Target) -> None:
    manifest = load(target.bundle / "bundle.json")
    manifest["segments"][2]["size"] += 1
    save(target.bundle / "bundle.json", manifest)


@attack("T5", errors.TowerSignatureError)
def vocabulary_longer_than_the_towers_table(target: Target) -> None:
    edit_features(target, lambda schema: schema["vocabularies"]["hour"].append("25 o'clock"))


# --- the index, resealed ------------------------------------------------------------------------


@attack("I1", errors.WrongBundleError)
def index_of_another_bundle(target: Target) -> None:
    edit(target.index / "index.json", bundle_sha256="1" * 64)


@attack("I1", errors.WrongBundleError)
def index_of_another_run(target: Target) -> None:
    edit(target.index / "index.json", run_id="someone-else")


@attack("I1", errors.WrongBundleError)
def bundle_changed_under_its_index(target: Target) -> None:
    (target.bundle / "MODEL_CARD.md").write_text("# Retouched\n")
    reseal_bundle(target)


@attack("I2", errors.DimensionMismatchError)
def index_of_another_dimension(target: Target) -> None:
    edit(target.index / "index.json", dim=32)


@attack("I2", errors.DimensionMismatchError)
def effort_for_another_number_of_stages(target: Target) -> None:
    point = {"weights": [1.0, 1.0], "nprobe": [1], "recall": [1.0]}
    effort = {"target_recall": 0.95, "cells": 4, "k": [50], "points": [point]}
    edit(target.index / "index.json", kind="ivf", effort=effort)


@attack("I3", errors.InvalidArrayError)
def pickle_in_place_of_the_ids(target: Target) -> None:
    ids = np.array([f"i{row}" for row in range(40)], dtype=object)
    np.save(target.index / "item_ids.npy", ids, allow_pickle=True)
    reseal_index(target)


@attack("I3", errors.InvalidArrayError)
def ids_as_numbers(target: Target) -> None:
    save_array(target, "item_ids.npy", np.arange(40))


@attack("I3", errors.InvalidArrayError)
def vectors_in_double_precision(target: Target) -> None:
    save_array(target, "item_vectors.npy", vectors_of(target).astype(np.float64))


@attack("I3", errors.InvalidArrayError)
def vectors_that_are_no_array(target: Target) -> None:
    (target.index / "item_vectors.npy").write_bytes(b"\x93NUMPY\x01\x00")
    reseal_index(target)


@attack("I3", errors.InvalidArrayError)
def array_header_with_code_in_it(target: Target) -> None:
    save_header(target, "{'descr': __import__('os').system('true'), 'shape': (40, 16)}")


@attack("I3", errors.InvalidArrayError)
def array_header_that_promises_more_than_the_file(target: Target) -> None:
    save_header(target, "{'descr': '<f4', 'fortran_order': False, 'shape': (40, 16)}")


@attack("I3", errors.InvalidArrayError)
def vectors_column_by_column(target: Target) -> None:
    save_array(target, "item_vectors.npy", np.asfortranarray(vectors_of(target)))


@attack("I4", errors.DimensionMismatchError)
def fewer_vectors_than_items(target: Target) -> None:
    save_array(target, "item_vectors.npy", vectors_of(target)[:-1])


@attack("I4", errors.DimensionMismatchError)
def vectors_of_another_length(target: Target) -> None:
    save_array(target, "item_vectors.npy", vectors_of(target)[:, :-1])


@attack("I4", errors.DimensionMismatchError)
def calibration_users_of_another_length(target: Target) -> None:
    save_array(target, "calibration_users.npy", np.zeros((3, 5), np.float32))


@attack("I4", errors.DimensionMismatchError)
def one_id_too_many(target: Target) -> None:
    ids = np.load(target.index / "item_ids.npy")
    save_array(target, "item_ids.npy", np.append(ids, b"z"))


@attack("I5", errors.UnsortedIdsError)
def unsorted_ids(target: Target) -> None:
    save_array(target, "item_ids.npy", np.load(target.index / "item_ids.npy")[::-1])


@attack("I5", errors.UnsortedIdsError)
def repeated_id(target: Target) -> None:
    ids = np.load(target.index / "item_ids.npy")
    ids[1] = ids[0]
    save_array(target, "item_ids.npy", ids)


@attack("I6", errors.InvalidFieldError)
def ivf_without_an_effort_map(target: Target) -> None:
    edit(target.index / "index.json", kind="ivf")


@attack("I6", errors.InvalidFieldError)
def effort_beyond_the_number_of_cells(target: Target) -> None:
    point = {"weights": [1.0, 1.0, 1.0], "nprobe": [5], "recall": [1.0]}
    effort = {"target_recall": 0.95, "cells": 4, "k": [50], "points": [point]}
    edit(target.index / "index.json", kind="ivf", effort=effort)


@attack("I6", errors.InvalidFieldError)
def shares_without_their_recall(target: Target) -> None:
    point = {"weights": [1.0, 1.0, 1.0], "nprobe": [4], "recall": [1.0], "reduced": [[0.9]]}
    shares = {"shares": [0.7, 0.5], "points": [point]}
    effort = {"target_recall": 0.95, "cells": 4, "k": [50], **shares}
    edit(target.index / "index.json", kind="ivf", effort=effort)


# --- attributes, resealed -----------------------------------------------------------------------


@attack("A1", errors.InvalidFieldError)
def two_attributes_of_one_name(target: Target) -> None:
    edit_attributes(target, lambda listed: listed.append(dict(listed[1])))


@attack("A1", errors.InvalidFieldError)
def category_without_a_vocabulary(target: Target) -> None:
    edit_attributes(target, lambda listed: listed[0].update(vocabulary=None))


@attack("A1", errors.InvalidFieldError)
def vocabulary_out_of_order(target: Target) -> None:
    edit_attributes(target, lambda listed: listed[0]["vocabulary"].reverse())


@attack("A1", errors.InvalidFieldError)
def vocabulary_with_an_empty_entry(target: Target) -> None:
    edit_attributes(target, lambda listed: listed[0]["vocabulary"].insert(0, ""))


@attack("A1", errors.InvalidFieldError)
def attribute_whose_name_leads_outside(target: Target) -> None:
    edit_attributes(target, lambda listed: listed[1].update(name="../../price"))


@attack("A2", errors.MissingFieldError)
def attribute_whose_array_is_not_listed(target: Target) -> None:
    edit_attributes(target, lambda listed: listed[1].update(name="weight"))


@attack("A3", errors.InvalidArrayError)
def category_stored_as_pickled_text(target: Target) -> None:
    np.save(target.index / "attribute.brand.npy", np.array(["b"] * 40, object), allow_pickle=True)
    reseal_index(target)


@attack("A3", errors.InvalidArrayError)
def number_in_single_precision(target: Target) -> None:
    save_array(target, "attribute.price.npy", np.ones(40, np.float32))


@attack("A4", errors.DimensionMismatchError)
def attribute_of_fewer_rows_than_items(target: Target) -> None:
    save_array(target, "attribute.price.npy", np.ones(39))


@attack("A5", errors.InvalidArrayError)
def code_beyond_the_vocabulary(target: Target) -> None:
    save_array(target, "attribute.brand.npy", np.full(40, 100, np.int32))


@attack("A5", errors.InvalidArrayError)
def negative_code(target: Target) -> None:
    save_array(target, "attribute.brand.npy", np.full(40, -1, np.int32))


@attack("A5", errors.InvalidArrayError)
def infinite_number(target: Target) -> None:
    save_array(target, "attribute.price.npy", np.full(40, np.inf))


@attack("A5", errors.InvalidArrayError)
def flag_that_is_neither(target: Target) -> None:
    save_array(target, "attribute.in_stock.npy", np.full(40, 2, np.int8))


# --- the delta, resealed ------------------------------------------------------------------------


@attack("F1", errors.MissingFileError)
def delta_without_manifest(target: Target) -> None:
    (target.delta / "delta.json").unlink()


@attack("F5", errors.HashMismatchError)
def one_bit_flipped_in_a_delta(target: Target) -> None:
    flip_last_bit(target.delta / "item_vectors.npy")


@attack("F6", errors.UnlistedFileError)
def extra_file_in_the_delta(target: Target) -> None:
    (target.delta / "notes.txt").write_text("x")


@attack("F11", errors.WrongNameError)
def delta_under_another_position(target: Target) -> None:
    target.delta.rename(target.delta.with_name("00000003"))


@attack("J3", errors.InvalidFieldError)
def delta_that_ends_before_it_begins(target: Target) -> None:
    edit(target.delta / "delta.json", from_position=2)


@attack("A2", errors.MissingFieldError)
def delta_whose_attribute_is_not_listed(target: Target) -> None:
    drop_entry(target.delta / "delta.json", "attribute.price.npy")


@attack("D1", errors.WrongIndexError)
def delta_of_another_index(target: Target) -> None:
    edit(target.delta / "delta.json", index_sha256="3" * 64)


@attack("D1", errors.WrongIndexError)
def delta_of_another_build(target: Target) -> None:
    edit(target.delta / "delta.json", build_id="b2")


@attack("D1", errors.WrongIndexError)
def delta_that_begins_after_its_index(target: Target) -> None:
    edit(target.delta / "delta.json", from_position=1)


@attack("D2", errors.InvalidArrayError)
def removed_ids_as_numbers(target: Target) -> None:
    save_delta_array(target, "removed_ids.npy", np.arange(2))


@attack("D3", errors.DimensionMismatchError)
def delta_of_fewer_vectors_than_items(target: Target) -> None:
    save_delta_array(target, "item_vectors.npy", np.zeros((2, 16), np.float32))


@attack("D3", errors.DimensionMismatchError)
def delta_of_vectors_of_another_length(target: Target) -> None:
    save_delta_array(target, "item_vectors.npy", np.zeros((3, 15), np.float32))


@attack("D4", errors.UnsortedIdsError)
def unsorted_ids_in_a_delta(target: Target) -> None:
    save_delta_array(target, "item_ids.npy", np.load(target.delta / "item_ids.npy")[::-1])


@attack("D4", errors.UnsortedIdsError)
def an_item_removed_twice(target: Target) -> None:
    save_delta_array(target, "removed_ids.npy", np.array([b"i1", b"i1"]))


@attack("D5", errors.ConflictingIdsError)
def item_that_is_there_and_removed(target: Target) -> None:
    save_delta_array(target, "removed_ids.npy", np.load(target.delta / "item_ids.npy")[:2])


@attack("D6", errors.InvalidFieldError)
def delta_without_the_attributes_of_its_index(target: Target) -> None:
    for path in target.delta.glob("attribute*"):
        drop_entry(target.delta / "delta.json", path.name)


# --- CURRENT ------------------------------------------------------------------------------------


@attack("C1", errors.NotPublishedError)
def nothing_published(target: Target) -> None:
    (target.releases / "CURRENT").unlink()


@attack("C2", errors.HashMismatchError)
def current_of_an_older_bundle(target: Target) -> None:
    edit(target.releases / "CURRENT", bundle_sha256="2" * 64)


@attack("C2", errors.HashMismatchError)
def index_replaced_after_publishing(target: Target) -> None:
    edit(target.index / "index.json", built_at="2020-01-01T00:00:00+00:00")


# --- the attacker's tools -----------------------------------------------------------------------


def load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes())


def save(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document))


def edit(path: Path, **fields: object) -> None:
    save(path, load(path) | fields)


def drop(path: Path, field: str) -> None:
    document = load(path)
    del document[field]
    save(path, document)


def append(path: Path, content: bytes) -> None:
    path.write_bytes(path.read_bytes() + content)


def flip_last_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def edit_files(manifest: Path, file: str, **fields: object) -> None:
    document = load(manifest)
    next(entry for entry in document["files"] if entry["path"] == file).update(fields)
    save(manifest, document)


def rename_entry(target: Target, path: str) -> None:
    edit_files(target.bundle / "bundle.json", "MODEL_CARD.md", path=path)


def drop_entry(manifest: Path, file: str) -> None:
    document = load(manifest)
    document["files"] = [entry for entry in document["files"] if entry["path"] != file]
    save(manifest, document)
    (manifest.parent / file).unlink()


def reseal(manifest: Path) -> None:
    """Give every listed file its present length and hash."""
    document = load(manifest)
    entries = describe_files(manifest.parent, [entry["path"] for entry in document["files"]])
    save(manifest, document | {"files": [entry.model_dump() for entry in entries]})


def reseal_bundle(target: Target) -> None:
    reseal(target.bundle / "bundle.json")


def reseal_index(target: Target) -> None:
    reseal(target.index / "index.json")


def edit_features(target: Target, change: Callable[[dict[str, Any]], object]) -> None:
    schema = load(target.bundle / "features.json")
    change(schema)
    save(target.bundle / "features.json", schema)
    reseal_bundle(target)


def edit_attributes(target: Target, change: Callable[[list[dict[str, Any]]], object]) -> None:
    document = load(target.index / "attributes.json")
    change(document["attributes"])
    save(target.index / "attributes.json", document)
    reseal_index(target)


def vectors_of(target: Target) -> np.ndarray:
    return np.load(target.index / "item_vectors.npy")


def save_array(target: Target, name: str, array: np.ndarray) -> None:
    np.save(target.index / name, array)
    reseal_index(target)


def save_delta_array(target: Target, name: str, array: np.ndarray) -> None:
    np.save(target.delta / name, array)
    reseal(target.delta / "delta.json")


def save_header(target: Target, header: str) -> None:
    content = io.BytesIO()
    content.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    (target.index / "item_vectors.npy").write_bytes(content.getvalue())
    reseal_index(target)


def main(out: Path) -> None:
    """Write every broken release below `out`, and print how each is refused."""
    sound = make_sound(out / "sound")
    for each in ATTACKS:
        releases = out / each.name / "releases"
        shutil.copytree(sound.releases, releases)
        each.apply(Target.below(releases))
        try:
            open_as_a_server(releases)
            answer = "ACCEPTED"
        except errors.BundleError as error:
            answer = str(error)
        sys.stdout.write(f"{each.rule:4} {each.name}: {answer}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
