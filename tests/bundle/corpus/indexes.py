"""Attacks on an index, resealed."""

from __future__ import annotations

import numpy as np

from bundle import errors
from corpus.attack import Target, attack
from corpus.tools import edit, reseal_bundle, reseal_index, save_array, save_header, vectors_of


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
