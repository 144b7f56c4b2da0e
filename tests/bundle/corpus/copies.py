"""Attacks on the groups of an index, resealed."""

from __future__ import annotations

import numpy as np

from bundle import errors
from corpus.attack import Target, attack
from corpus.tools import edit, load, reseal_index


def add_copies(target: Target, pairs: object) -> None:
    """Copies [group, row] of an index that has none."""
    np.save(target.index / "copies.npy", pairs)
    manifest = target.index / "index.json"
    unsealed = {"path": "copies.npy", "bytes": 0, "sha256": "0" * 64}
    edit(manifest, files=[*load(manifest)["files"], unsealed])
    reseal_index(target)


def pairs(*rows_of_groups: list[int]) -> np.ndarray:
    numbered = enumerate(rows_of_groups)
    return np.array([(group, row) for group, rows in numbered for row in rows], np.int32)


@attack("G1", errors.InvalidArrayError)
def pairs_of_64_bits(target: Target) -> None:
    add_copies(target, pairs([1, 4]).astype(np.int64))


@attack("G1", errors.InvalidArrayError)
def pickled_pairs(target: Target) -> None:
    add_copies(target, pairs([1, 4]).astype(object))


@attack("G2", errors.DimensionMismatchError)
def pairs_with_a_third_column(target: Target) -> None:
    add_copies(target, np.zeros((2, 3), np.int32))


@attack("G2", errors.DimensionMismatchError)
def pairs_end_to_end(target: Target) -> None:
    add_copies(target, pairs([1, 4]).ravel())


@attack("G3", errors.InvalidArrayError)
def groups_counted_from_one(target: Target) -> None:
    add_copies(target, pairs([1, 4]) + np.array([1, 0], np.int32))


@attack("G3", errors.InvalidArrayError)
def group_of_a_negative_number(target: Target) -> None:
    add_copies(target, pairs([1, 4]) - np.array([1, 0], np.int32))


@attack("G3", errors.InvalidArrayError)
def group_that_is_left_out(target: Target) -> None:
    add_copies(target, pairs([1, 4], [], [2, 3]))


@attack("G3", errors.InvalidArrayError)
def groups_out_of_order(target: Target) -> None:
    add_copies(target, pairs([1, 4], [2, 3])[[0, 1, 2, 3, 0, 1]])


@attack("G3", errors.InvalidArrayError)
def group_of_one_row(target: Target) -> None:
    add_copies(target, pairs([1, 4], [7]))


@attack("G4", errors.InvalidArrayError)
def row_that_no_item_has(target: Target) -> None:
    add_copies(target, pairs([1, 40]))


@attack("G4", errors.InvalidArrayError)
def negative_row(target: Target) -> None:
    add_copies(target, pairs([-1, 4]))


@attack("G4", errors.InvalidArrayError)
def rows_of_a_group_out_of_order(target: Target) -> None:
    add_copies(target, pairs([4, 1]))


@attack("G4", errors.InvalidArrayError)
def row_named_twice_in_a_group(target: Target) -> None:
    add_copies(target, pairs([1, 4, 4]))


@attack("G4", errors.InvalidArrayError)
def row_of_two_groups(target: Target) -> None:
    add_copies(target, pairs([1, 4], [2, 4]))


@attack("G5", errors.InvalidFieldError)
def copies_of_an_exact_index(target: Target) -> None:
    add_copies(target, pairs([1, 4], [2, 3]))
