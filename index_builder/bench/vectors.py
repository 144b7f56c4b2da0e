"""What is searched and who asks: trained vectors enlarged, or synthetic ones of heavy tails.

    drawn = from_release(bundle, index, 1_000_000, 64, Path("work/trained"), rng)

Decisions
- Trained items are those of a release, enlarged by a smoothed bootstrap (`index_builder.enlarge`
  says how much alike); its calibration sample is divided among four groups who have nobody in
  common: who shapes cells, who calibrates effort, who is asked about in the sweep and the timing,
  and who holds the effort map to its promise.
- Heavy tails (`draw_heavy`): an item belongs to one of √N topics, whose sizes fall with their rank
  (Zipf, 1 / rank); in each segment it is near the topic's centre there, but one item in five near
  another topic's. What is its own is 0.7 as long as a centre, and the variance of its dims falls as
  1 / place in the segment, since trained vectors fill few of their dims. Its length is
  Pareto-distributed (α = 4: the longest of a million is some 30 times the shortest), a segment's on
  top of it log-normal (σ = 0.3). A user likes a topic, large ones more often. Three segments of 24,
  20 and 20 dims.

Dimension letters: N items, B block, M dims, U users, T topics, S stages, D dims of a segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.segments import Segments
from bundle.store import Bundle, Index
from index_builder.bench.contenders.contender import Floats, Given
from index_builder.codes import BLOCK
from index_builder.enlarge import enlarge
from index_builder.errors import InputError

GROUP = 256  # users who shape, and who calibrate: what csmf-index takes by default
SEGMENTS = Segments(("exposure", "click", "conversion"), (24, 20, 20))
WEIGHTS = (1.0, 1.8, 1.2)  # the paper's
NOISE, ELSEWHERE, ALPHA, SEGMENT_SPREAD = 0.7, 0.2, 4.0, 0.3
USERS = 1024  # drawn, of the heavy set


@dataclass(frozen=True)
class Drawn:
    """What builders know, and two groups of users they do not know."""

    name: str
    note: str
    given: Given
    asking_UM: Floats
    fresh_UM: Floats


def from_release(
    bundle: Bundle, index: Index, items: int, users: int, scratch: Path, rng: np.random.Generator
) -> Drawn:
    """A release's items, as many, and its users. Raises InputError if it has too few."""
    if len(bundle.segments.names) < 2:
        raise InputError(
            "bundle.json",
            "segments",
            found=f"one, {bundle.segments.names[0]!r}",
            remedy="weights do nothing to one segment: give a release of a cascade",
        )
    path = scratch / f"trained-{items}.npy"
    enlarge(np.array(index.item_vectors_NM), items, path, rng)
    run, originals = index.manifest.run_id, index.manifest.items
    note = (
        f"Items of the release `{run}`, {originals:,}, and others like them; segments of "
        f"{', '.join(map(str, bundle.segments.sizes))} dims; users of its calibration sample."
    )
    people_UM = rng.permutation(index.calibration_users_CM)
    weights_S = bundle.manifest.weights.as_array()
    return _drawn("trained", note, path, bundle.segments, weights_S, people_UM, users)


def from_generator(items: int, users: int, scratch: Path, rng: np.random.Generator) -> Drawn:
    """Items and users of heavy tails."""
    path = scratch / f"heavy-{items}.npy"
    people_UM = draw_heavy(items, USERS, path, rng)
    note = "Synthetic: topics of Zipf's sizes, Pareto lengths; `index_builder/bench/vectors.py`."
    return _drawn("heavy", note, path, SEGMENTS, np.array(WEIGHTS), people_UM, users)


def _drawn(
    name: str,
    note: str,
    path: Path,
    segments: Segments,
    weights_S: NDArray[np.float64],
    people_UM: Floats,
    users: int,
) -> Drawn:
    group = min(GROUP, len(people_UM) // 4)
    if group < 1:
        raise InputError(
            "calibration_users.npy",
            "",
            found=f"{len(people_UM)} users",
            remedy="four groups are made of them: build with csmf-index --users 2048",
        )
    shaping, calibrating, asking, fresh = (
        np.ascontiguousarray(people_UM[start : start + group])
        for start in range(0, 4 * group, group)
    )
    given = Given(path, segments, shaping, calibrating, weights_S)
    return Drawn(name, note, given, asking[:users], fresh)


def draw_heavy(items: int, users: int, path: Path, rng: np.random.Generator) -> Floats:
    """Write items [N, M] to `path`, a .npy; users [U, M]."""
    topics = max(2, round(items**0.5))
    centres_TM = rng.normal(size=(topics, SEGMENTS.dim)).astype(np.float32)
    centres_TM *= _per_segment(np.sqrt(1 / np.array(SEGMENTS.sizes)))
    shares_T = 1 / np.arange(1, topics + 1)
    shares_T /= shares_T.sum()
    items_NM: Floats = np.lib.format.open_memmap(path, "w+", np.float32, (items, SEGMENTS.dim))
    for start in range(0, items, BLOCK):
        block_BM = _near_topics(centres_TM, shares_T, min(BLOCK, items - start), rng)
        lengths_B1 = 1 + rng.pareto(ALPHA, (len(block_BM), 1))
        spread_BS = rng.lognormal(0, SEGMENT_SPREAD, (len(block_BM), len(SEGMENTS.sizes)))
        items_NM[start : start + BLOCK] = block_BM * (lengths_B1 * _per_segment(spread_BS))
    return _near_topics(centres_TM, shares_T, users, rng)


def _near_topics(
    centres_TM: Floats, shares_T: NDArray[np.float64], count: int, rng: np.random.Generator
) -> Floats:
    """[B, M]: each of a topic, now and then of another one in a segment, with noise of its own."""
    topic_B = rng.choice(len(shares_T), count, p=shares_T)
    drawn_BM = NOISE * rng.normal(size=(count, SEGMENTS.dim)).astype(np.float32)
    for part, size in zip(SEGMENTS.slices, SEGMENTS.sizes, strict=True):
        variance = 1 / np.arange(1, size + 1)
        drawn_BM[:, part] *= np.sqrt(variance / variance.sum())
        elsewhere_B = rng.random(count) < ELSEWHERE
        here_B = np.where(elsewhere_B, rng.integers(len(shares_T), size=count), topic_B)
        drawn_BM[:, part] += centres_TM[here_B, part]
    near_BM: Floats = drawn_BM
    return near_BM


def _per_segment(values_S: NDArray[np.float64]) -> Floats:
    """[..., S] → [..., M]: each segment's value at each of its dims."""
    spread: Floats = np.repeat(values_S, SEGMENTS.sizes, axis=-1).astype(np.float32)
    return spread
