"""Attacks on vocabularies in files of their own, resealed."""

from __future__ import annotations

import numpy as np

from bundle import errors
from corpus.attack import Target, attack
from corpus.tools import edit_features, map_vocabulary


@attack("T1", errors.InvalidFieldError)
def vocabulary_both_listed_and_mapped(target: Target) -> None:
    map_vocabulary(target, "brand")
    edit_features(target, lambda schema: schema["vocabularies"].update(brand=["a"]))


@attack("T1", errors.InvalidFieldError)
def vocabulary_mapped_twice(target: Target) -> None:
    map_vocabulary(target, "brand")
    edit_features(target, lambda schema: schema["mapped"].append("brand"))


@attack("T5", errors.TowerSignatureError)
def mapped_vocabulary_longer_than_the_towers_table(target: Target) -> None:
    map_vocabulary(target, "hour", np.array([f"{hour:02d}" for hour in range(99)], "S"))


@attack("V1", errors.MissingFieldError)
def mapped_vocabulary_whose_file_is_not_listed(target: Target) -> None:
    edit_features(target, lambda schema: schema.update(mapped=["colour"]))


@attack("V1", errors.MissingFieldError)
def mapped_vocabulary_whose_name_leads_outside(target: Target) -> None:
    edit_features(target, lambda schema: schema.update(mapped=["/../../brand"]))


@attack("V2", errors.InvalidArrayError)
def vocabulary_stored_as_pickled_text(target: Target) -> None:
    map_vocabulary(target, "brand", np.array(["a", "b"], object))


@attack("V2", errors.InvalidArrayError)
def vocabulary_of_wide_characters(target: Target) -> None:
    map_vocabulary(target, "brand", np.array(["a", "b"]))


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
