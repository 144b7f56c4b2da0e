"""Attacks on the attributes of an index, resealed."""

from __future__ import annotations

import numpy as np

from bundle import errors
from corpus.attack import Target, attack
from corpus.tools import edit_attributes, reseal_index, save_array


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
