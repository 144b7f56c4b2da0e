"""Lists made of lists.

Dimension letters: Q queries, K ranks.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

import numpy as np

from training.evaluation.metrics import Rows


def chain_lists(lists: Iterable[Iterable[int]], length: int, absent: int) -> list[int]:
    """The first `length` different rows of the lists in turn, padded with `absent`."""
    found = list(islice(dict.fromkeys(chain.from_iterable(lists)), length))
    return found + [absent] * (length - len(found))


def merge_lists(first_QK: Rows, second_QK: Rows, share: float) -> Rows:
    """[Q, K] the best `share` of the first list, then the second's; nothing twice.

    What a server does that has an index per objective and must answer with one list.
    """
    length = first_QK.shape[1]
    kept = round(share * length)
    turns_QX = np.concatenate([first_QK[:, :kept], second_QK, first_QK[:, kept:]], axis=1)
    merged = [chain_lists([turns], length, -1) for turns in turns_QX.tolist()]
    return np.reshape(np.asarray(merged, np.int64), first_QK.shape)
