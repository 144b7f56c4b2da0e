"""What `csmf-index` builds and the service maps, searched as the service searches it.

The effort map is measured too, beside the index: the contender is swept like all others, by one
effort for all weights, and once more asked with the efforts of its map.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

import faiss
import numpy as np

from bundle.effort import EffortMap
from bundle.files import to_json
from bundle.scoring import scale_query
from index_builder.bench.contenders.contender import Floats, Given, Rows, Variant
from index_builder.calibrate import Target, calibrate
from index_builder.cells import InvertedFile, fill_cells, train_centroids, visiting, whitening
from index_builder.grid import weight_directions
from index_builder.progress import Progress

LIBRARY = "csmf-retrieval"
EFFORT = "cells visited"
VARIANTS = (Variant("fp16"),)
FILE, MAP = "items.faiss", "effort.json"
TARGET = Target(recall=0.95, max_effort=1.0)  # harder vectors than ours are no reason to stop here


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Index and effort map; seconds of each step."""
    items_NM, seconds = given.read_items(), {}
    directions_GS = weight_directions(len(given.segments.names))
    started = time.perf_counter()
    asked_QM = [scale_query(given.shaping_UM, each_S, given.segments) for each_S in directions_GS]
    whitening_M = whitening(np.concatenate(asked_QM))
    centroids_CM = train_centroids(items_NM, whitening_M, seed=0)
    seconds["k-means"] = time.perf_counter() - started
    progress = Progress("fill", "items", 2 * len(items_NM))
    inverted = fill_cells(items_NM, whitening_M, centroids_CM, progress)
    faiss.write_index(inverted.faiss_index, str(directory / FILE))
    seconds["fill"] = time.perf_counter() - started - sum(seconds.values())
    effort = _calibrate(given, inverted, items_NM, directions_GS)
    seconds["effort map"] = time.perf_counter() - started - sum(seconds.values())
    (directory / MAP).write_bytes(to_json(effort))
    return seconds


def _calibrate(
    given: Given, inverted: InvertedFile, items_NM: Floats, directions_GS: np.ndarray
) -> EffortMap:
    measured_GS = np.concatenate([directions_GS, given.weights_S[None]])
    progress = Progress("calibrate", "directions", len(measured_GS))
    users_UM = given.calibrating_UM
    return calibrate(inverted, items_NM, users_UM, measured_GS, given.segments, TARGET, progress)


def read_map(directory: Path) -> EffortMap:
    """The effort map that a build left."""
    return EffortMap.model_validate_json((directory / MAP).read_bytes())


class Ours:
    """The mapped inverted file."""

    def __init__(self, index: faiss.IndexIVF) -> None:
        self.index, self.most = index, index.nlist

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """The best of the cells nearest to the query."""
        rows_K: Rows = self.index.search(query_M[None], k, params=visiting(effort))[1][0]
        return rows_K


def open_index(given: Given, variant: Variant, directory: Path) -> Ours:
    """Map the file."""
    index = faiss.read_index(str(directory / FILE), faiss.IO_FLAG_MMAP_IFC)
    return Ours(cast("faiss.IndexIVF", index))
