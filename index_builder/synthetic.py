"""Vectors that behave like those of trained towers, of any number: clustered, of uneven norm.

Decisions
- An item is one of √N topics plus noise, times a log-normal length. A user likes one topic.
- Vectors of K kernels are what multi-kernel models serve: the item's vector K times, each copy
  times the gate that the item's topic opens; the user has K vectors of its own. So their inner
  product is Σ_k gate_k · (user_k · item).
- Blocks of rows are drawn one after another into a file mapped into memory: only one block exists
  in memory, whatever the number of items.

Dimension letters: N items, B block, M dims of one vector, K kernels, T topics, Q queries.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
BLOCK = 65_536
NOISE = 0.7  # length of an item's own part; its topic's is 1
LENGTH_SPREAD = 0.35  # standard deviation of the log of an item's length


@dataclass(frozen=True)
class Topics:
    """Directions of topics, and the gates that each opens."""

    centres_TM: Floats
    gates_TK: Floats


def draw_topics(items: int, dim: int, kernels: int, rng: np.random.Generator) -> Topics:
    """√N topics."""
    count = max(2, round(items**0.5))
    opened_TK = np.exp(rng.normal(size=(count, kernels)))
    return Topics(
        _of_length_one(rng.normal(size=(count, dim))),
        (opened_TK / opened_TK.sum(axis=1, keepdims=True)).astype(np.float32),
    )


def write_items(
    topics: Topics, items: int, directory: Path, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """The same items as [N, M] and as [N, K·M], written to files in `directory` and mapped."""
    dim, kernels = topics.centres_TM.shape[1], topics.gates_TK.shape[1]
    items_NM = _mapped(directory / "plain.npy", items, dim)
    gated_NX = _mapped(directory / "gated.npy", items, kernels * dim)
    for start in range(0, items, BLOCK):
        count = min(BLOCK, items - start)
        topic_B = rng.integers(len(topics.centres_TM), size=count)
        block_BM = _around(topics.centres_TM[topic_B], rng)
        block_BM *= rng.lognormal(sigma=LENGTH_SPREAD, size=(count, 1)).astype(np.float32)
        items_NM[start : start + count] = block_BM
        gates_BK1 = topics.gates_TK[topic_B][:, :, None]
        gated_NX[start : start + count] = (gates_BK1 * block_BM[:, None]).reshape(count, -1)
    return items_NM, gated_NX


def draw_users(topics: Topics, users: int, rng: np.random.Generator) -> Floats:
    """[Q, K, M]: each kernel has its own view of the one topic that a user likes."""
    topic_Q = rng.integers(len(topics.centres_TM), size=users)
    views = [_around(topics.centres_TM[topic_Q], rng) for _ in range(topics.gates_TK.shape[1])]
    return np.stack(views, axis=1)


def _around(centres_BM: Floats, rng: np.random.Generator) -> Floats:
    noise_BM = rng.normal(size=centres_BM.shape).astype(np.float32)
    around_BM: Floats = centres_BM + NOISE * noise_BM * centres_BM.shape[1] ** -0.5
    return around_BM


def _of_length_one(vectors: NDArray[np.float64]) -> Floats:
    unit: Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _mapped(path: Path, rows: int, columns: int) -> Floats:
    mapped: Floats = np.lib.format.open_memmap(path, "w+", np.float32, (rows, columns))
    return mapped
