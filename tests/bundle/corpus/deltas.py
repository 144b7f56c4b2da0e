"""Attacks on a delta, resealed."""

from __future__ import annotations

import numpy as np

from bundle import errors
from corpus.attack import Target, attack
from corpus.tools import drop_entry, edit, flip_last_bit, save_delta_array


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
