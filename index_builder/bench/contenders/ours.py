"""What `csmf-index` builds and the service maps, searched as the service searches it.

The effort map is measured too, beside the index: the contender is swept like all others, by one
effort for all weights, and once more asked with the efforts of its map. `default` is what
`csmf-index` builds: codes of 4 bits where they keep the recall, else fp16. `compact` is what it
builds with `--codes int8`. What short codes find is scored again by the items' vectors, which a
release has in any case: they are no part of the index's bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, cast

import faiss
import numpy as np

from bundle.codes import codes_of, fetched, is_short, rescored
from bundle.copies import Copies, copies_files, read_copies, write_copies
from bundle.effort import EffortMap
from bundle.faiss_file import open_faiss, write_faiss
from bundle.writing import to_json
from index_builder.bench.contenders.contender import Floats, Given, Rows, Variant
from index_builder.calibrate import Target
from index_builder.cells import visiting
from index_builder.grid import weight_directions
from index_builder.invert import Asking, build_inverted
from index_builder.progress import Phases
from index_builder.settings import Wanted

LIBRARY = "csmf-retrieval"
EFFORT = "cells visited"
DEFAULT: Final = "default"
WHOLE: Final = "fp16"
COMPACT: Final = "compact"  # of the same cells: what codes of 8 bits lose
VARIANTS = (
    Variant(DEFAULT, {"codes": "auto"}, reads_items=True),
    Variant(WHOLE, {"codes": "fp16"}, usual="always"),
    Variant(COMPACT, {"codes": "int8"}, usual="always", reads_items=True),
)
MAP = "effort.json"
TARGET = Target(recall=0.95, max_effort=1.0)  # harder vectors than ours are no reason to stop here


def build(given: Given, variant: Variant, directory: Path, threads: int) -> dict[str, float]:
    """Index and effort map; seconds of each step."""
    directions_GS = weight_directions(len(given.segments.names))
    asking = Asking(
        shaping_BM=given.shaping_UM,
        measuring_BM=given.calibrating_UM,
        directions_GS=directions_GS,
        measured_GS=np.concatenate([directions_GS, given.weights_S[None]]),
        segments=given.segments,
    )
    wanted, phases = cast("Wanted", variant.build.get("codes", "auto")), Phases()
    inverted, effort = build_inverted(given.read_items(), asking, TARGET, wanted, 0, phases)
    write_faiss(inverted.faiss_index, directory)
    write_copies(directory, inverted.copies)
    (directory / MAP).write_bytes(to_json(effort))
    return phases.seconds


def read_map(directory: Path) -> EffortMap:
    """The effort map that a build left."""
    return EffortMap.model_validate_json((directory / MAP).read_bytes())


class Ours:
    """The mapped inverted file, and the items' vectors, by which short codes are scored again."""

    def __init__(self, index: faiss.Index, items_NM: Floats, copies: Copies | None) -> None:
        self.index, self.most = index, faiss.extract_index_ivf(index).nlist
        self._items_NM, self._copies = items_NM, copies
        self._codes = codes_of(index)

    def search(self, query_M: Floats, k: int, effort: int) -> Rows:
        """The best of the cells nearest to the query."""
        most = fetched(k, self._codes)
        found = self.index.search(query_M[None], most, params=visiting(effort))
        scores_K, rows_K = found[0][0], found[1][0]
        if is_short(self._codes):
            rows_K, scores_K = rescored(query_M, rows_K, self._items_NM, k, self._copies)
        if self._copies:
            rows_K, _ = self._copies.expanded(rows_K, scores_K, k)
        best_K: Rows = rows_K[:k]
        return best_K


def open_index(given: Given, variant: Variant, directory: Path) -> Ours:
    """Map the files."""
    index = open_faiss(directory)
    copies = read_copies(directory, copies_files(directory), given.count)
    return Ours(index, given.read_items(), copies)
