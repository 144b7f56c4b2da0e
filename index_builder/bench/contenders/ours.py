"""What `csmf-index` builds and the service maps, searched as the service searches it.

The effort map is measured too, beside the index: the contender is swept like all others, by one
effort for all weights, and once more asked with the efforts of its map. `compact` is what
`csmf-index --codes int8` builds; what it finds it scores again by the items' vectors, which a
release has in any case: they are no part of the index's bytes.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

import faiss
import numpy as np

from bundle.codes import fetched, needs_rescoring, rescored
from bundle.copies import Copies, copies_files, read_copies, write_copies
from bundle.effort import EffortMap
from bundle.scoring import scale_query
from bundle.writing import to_json
from index_builder.bench.contenders.contender import Floats, Given, Rows, Variant
from index_builder.calibrate import Target, calibrate
from index_builder.cells import InvertedFile, fill_cells, train_centroids, visiting, whitening
from index_builder.copies import find_copies
from index_builder.grid import weight_directions
from index_builder.progress import Progress
from index_builder.settings import Codes

LIBRARY = "csmf-retrieval"
EFFORT = "cells visited"
VARIANTS = (Variant("fp16"), Variant("compact", {"codes": "int8"}, usual=True))
FILE, MAP = "items.faiss", "effort.json"
TARGET = Target(recall=0.95, max_effort=1.0)  # harder vectors than ours are no reason to stop here


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Index, and the effort map of the first variant; seconds of each step."""
    items_NM, seconds = given.read_items(), {}
    directions_GS = weight_directions(len(given.segments.names))
    started = time.perf_counter()
    asked_QM = [scale_query(given.shaping_UM, each_S, given.segments) for each_S in directions_GS]
    whitening_M = whitening(np.concatenate(asked_QM))
    centroids_CM = train_centroids(items_NM, whitening_M, seed=0)
    seconds["k-means"] = time.perf_counter() - started
    progress, copies = Progress("fill", "items", 2 * len(items_NM)), find_copies(items_NM)
    codes = cast("Codes", variant.build.get("codes", "fp16"))
    inverted = fill_cells(items_NM, whitening_M, centroids_CM, progress, copies, codes)
    faiss.write_index(inverted.faiss_index, str(directory / FILE))
    write_copies(directory, copies)
    seconds["fill"] = time.perf_counter() - started - sum(seconds.values())
    if variant == VARIANTS[0]:
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
    """The mapped inverted file, and the items' vectors where codes are scored again."""

    def __init__(self, index: faiss.IndexIVF, items_NM: Floats, copies: Copies | None) -> None:
        self.index, self.most = index, index.nlist
        self._items_NM, self._copies = items_NM, copies
        self._again = needs_rescoring(index)

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """The best of the cells nearest to the query."""
        most = fetched(k) if self._again else k
        found = self.index.search(query_M[None], most, params=visiting(effort))
        scores_K, rows_K = found[0][0], found[1][0]
        if self._again:
            rows_K, scores_K = rescored(query_M, rows_K, self._items_NM, self._copies)
        if self._copies:
            rows_K, _ = self._copies.expanded(rows_K, scores_K, k)
        best_K: Rows = rows_K[:k]
        return best_K


def open_index(given: Given, variant: Variant, directory: Path) -> Ours:
    """Map the files."""
    index = faiss.read_index(str(directory / FILE), faiss.IO_FLAG_MMAP_IFC)
    copies = read_copies(directory, copies_files(directory), given.count)
    return Ours(cast("faiss.IndexIVF", index), given.read_items(), copies)
