"""Attacks on vocabularies in files of their own, resealed."""

from __future__ import annotations

import numpy as np

from bundle import errors
from corpus.attack import Target, attack
from corpus.tools import edit_features, map_vocabulary


@attack("T1", errors.InvalidFieldError)
def vocabulary_both_listed_and_mapped(target: Target) -> None:
    map_vocabulary(target, "item_id")
    edit_features(target, lambda schema: schema["vocabularies"].update(item_id=["a"]))


@attack("T1", errors.InvalidFieldError)
def mapped_vocabulary_whose_file_is_not_listed(target: Target) -> None:
    edit_features(target, lambda schema: schema["vocabularies"].pop("item_id"))


@attack("T1", errors.InvalidFieldError)
def mapped_vocabulary_of_another_name(target: Target) -> None:
    map_vocabulary(target, "item_id", name="item.id")


@attack("T5", errors.TowerSignatureError)
def mapped_vocabulary_longer_than_the_towers_table(target: Target) -> None:
    map_vocabulary(target, "hour", np.array([f"{hour:02d}" for hour in range(99)], "S"))


@attack("V1", errors.InvalidArrayError)
def vocabulary_stored_as_pickled_text(target: Target) -> None:
    map_vocabulary(target, "brand", np.array(["a", "b"], object))


@attack("V1", errors.InvalidArrayError)
def vocabulary_of_wide_characters(target: Target) -> None:
    map_vocabulary(target, "brand", np.array(["a", "b"]))


@attack("V1", errors.InvalidArrayError)
def vocabulary_with_an_entry_that_is_too_long(target: Target) -> None:
    map_vocabulary(target, "brand", np.array(["a", "b" * 65], "S"))


@attack("V1", errors.InvalidArrayError)
def vocabulary_of_many_entries_without_bytes(target: Target) -> None:
    map_vocabulary(target, "brand", np.broadcast_to(np.array(b"", "S0"), 1 << 20))


@attack("V2", errors.DimensionMismatchError)
def vocabulary_of_two_dimensions(target: Target) -> None:
    map_vocabulary(target, "brand", np.array([["a"], ["b"]], "S"))


@attack("V3", errors.InvalidArrayError)
def mapped_vocabulary_out_of_order(target: Target) -> None:
    map_vocabulary(target, "brand", np.array(["a", "c", "b"], "S"))


@attack("V3", errors.InvalidArrayError)
def mapped_vocabulary_with_an_entry_twice(target: Target) -> None:
    map_vocabulary(target, "brand", np.array(["a", "a", "b"], "S"))


@attack("V3", errors.InvalidArrayError)
def mapped_vocabulary_with_an_empty_entry(target: Target) -> None:
    map_vocabulary(target, "brand", np.array(["", "a", "b"], "S"))


@attack("V3", errors.InvalidArrayError)
def mapped_vocabulary_without_entries(target: Target) -> None:
    map_vocabulary(target, "brand", np.array([], "S8"))
