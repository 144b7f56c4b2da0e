"""What a comparison of layouts indexes and asks: trained vectors or synthetic ones.

Decisions
- Items of K kernels are what multi-kernel models serve: the item's vector K times, each copy times
  the gate that the item's topic opens; the user has K vectors of its own. So their inner product is
  Σ_k gate_k · (user_k · item).
- Blocks of rows are written one after another into a file mapped into memory: only one block exists
  in memory, whatever the number of items.

Dimension letters: N items, B block, M dims of one vector, K kernels, X = K·M, T topics, U users.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.segments import Segments

Floats = NDArray[np.float32]
KERNELS = 4


@dataclass(frozen=True)
class Drawn:
    """The same items twice, users who shape the cells, users who ask."""

    name: str  # whose vectors these are
    note: str  # the same for readers, with what it means for the figures
    items_NM: Floats
    gated_NX: Floats
    shaping_UKM: Floats
    asking_UKM: Floats
    segments: Segments
    weights_S: NDArray[np.float64]


def draw_gates(topics: int, rng: np.random.Generator) -> Floats:
    """[T, K] the gates that each topic opens, of sum 1."""
    opened_TK = np.exp(rng.normal(size=(topics, KERNELS)))
    gates_TK: Floats = (opened_TK / opened_TK.sum(axis=1, keepdims=True)).astype(np.float32)
    return gates_TK


def gated(items_BM: Floats, gates_BK: Floats) -> Floats:
    """[B, K·M] an item's vector once a kernel, times its gates."""
    copies_BX: Floats = (gates_BK[:, :, None] * items_BM[:, None]).reshape(len(items_BM), -1)
    return copies_BX


def mapped(path: Path, rows: int, columns: int) -> Floats:
    """A new file of rows, mapped into memory."""
    array: Floats = np.lib.format.open_memmap(path, "w+", np.float32, (rows, columns))
    return array
