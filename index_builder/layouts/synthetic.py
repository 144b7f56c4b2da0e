"""Vectors that behave like those of trained towers, of any number: clustered, of uneven length.

Decisions
- An item is one of √N topics plus noise, times a log-normal length. A user likes one topic, and
  each kernel has its own view of it.
- Segments have the sizes and the paper's weights, and mean nothing: no training made them.

Dimension letters: N items, B block, M dims of one vector, K kernels, T topics, U users.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.segments import Segments
from index_builder.codes import BLOCK
from index_builder.layouts.vectors import KERNELS, Drawn, Floats, draw_gates, gated, mapped

NOISE = 0.7  # length of an item's own part; its topic's is 1
LENGTH_SPREAD = 0.35  # standard deviation of the log of an item's length
SEGMENTS = Segments(("exposure", "click", "conversion"), (24, 20, 20))
WEIGHTS = np.array([1.0, 1.8, 1.2])  # the paper's
NOTE = """Items are synthetic: clustered, lengths log-normal; MVKE's are the same items
under gates. So bytes carry over to other vectors, time nearly so, recall and the cells it takes do
not: CSMF's segments are arbitrary here, and scaling them turns a query away from the topics that
its cells follow. With `--index` the vectors are those of a release."""


def draw_synthetic(items: int, users: int, scratch: Path, rng: np.random.Generator) -> Drawn:
    """Items in files of `scratch`; as many users to shape the cells as to ask."""
    centres_TM = _of_length_one(rng.normal(size=(max(2, round(items**0.5)), SEGMENTS.dim)))
    items_NM, gated_NX = _write_items(centres_TM, items, scratch, rng)
    shaping_UKM, asking_UKM = (_draw_users(centres_TM, users, rng) for _ in range(2))
    return Drawn("synthetic", NOTE, items_NM, gated_NX, shaping_UKM, asking_UKM, SEGMENTS, WEIGHTS)


def _write_items(
    centres_TM: Floats, items: int, scratch: Path, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    gates_TK = draw_gates(len(centres_TM), rng)
    items_NM = mapped(scratch / "plain.npy", items, SEGMENTS.dim)
    gated_NX = mapped(scratch / "gated.npy", items, KERNELS * SEGMENTS.dim)
    for start in range(0, items, BLOCK):
        count = min(BLOCK, items - start)
        topic_B = rng.integers(len(centres_TM), size=count)
        block_BM = _around(centres_TM[topic_B], rng)
        block_BM *= rng.lognormal(sigma=LENGTH_SPREAD, size=(count, 1)).astype(np.float32)
        items_NM[start : start + count] = block_BM
        gated_NX[start : start + count] = gated(block_BM, gates_TK[topic_B])
    return items_NM, gated_NX


def _draw_users(centres_TM: Floats, users: int, rng: np.random.Generator) -> Floats:
    topic_U = rng.integers(len(centres_TM), size=users)
    return np.stack([_around(centres_TM[topic_U], rng) for _ in range(KERNELS)], axis=1)


def _around(centres_BM: Floats, rng: np.random.Generator) -> Floats:
    noise_BM = rng.normal(size=centres_BM.shape).astype(np.float32)
    around_BM: Floats = centres_BM + NOISE * noise_BM * centres_BM.shape[1] ** -0.5
    return around_BM


def _of_length_one(vectors: NDArray[np.float64]) -> Floats:
    unit: Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit
