"""What a served layout of vectors costs: bytes of its index and time of a query, in one run.

    python -m index_builder.layouts --items 4000000 --out docs/results/paper

Decisions
- A multi-objective model is served as one vector (MOPPR, CSMF), as the vectors of K kernels joined
  (MVKE), or as one item vector that two user vectors search, their lists merged (DMMP). CSMF also
  scales the segments of each query, and DMMP merges; both are part of the time.
- All layouts have the index we ship (see `index_builder.cells`), with as many cells, over the same
  synthetic items. They are timed twice: visiting as many cells, and as many as each needs for its
  target recall of its own exact list, since equal effort does not find equally much.
- Rounds alternate between the layouts, one user at a time on one thread. A ratio is the median over
  rounds of the ratio within a round: other programs slow a round's layouts alike.

Dimension letters: U users, K kernels, M dims of one vector, Q queries of a user, X dims of an item,
L list, R rounds.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import faiss
import numpy as np
from numpy.typing import NDArray

from bundle.scoring import scale_query
from bundle.segments import Segments
from index_builder.calibrate import exact_in_blocks
from index_builder.cells import fill_cells, train_centroids, visiting, whitening
from index_builder.layouts_table import Cost, Setting, write_table
from index_builder.progress import Phases
from index_builder.synthetic import Floats, draw_topics, draw_users, write_items

DIM, KERNELS = 64, 4
SEGMENTS = Segments(("exposure", "click", "conversion"), (24, 20, 20))
WEIGHTS = np.array([1.0, 1.8, 1.2])  # the paper's
JUDGED_USERS = 64  # whose lists are also scanned for exactly
GROWTH = 1.1  # of the visits, until the recall is at its target
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """How a model is served: the queries [Q, X] that a user's vectors [K, M] become."""

    name: str
    item_dims: int
    queries: Callable[[Floats], Floats]


def one_vector(user_KM: Floats) -> Floats:
    """The first vector, as it is."""
    return user_KM[:1]


def scaled_segments(user_KM: Floats) -> Floats:
    """The first vector, its segments scaled by the weights (Eq. 8)."""
    return scale_query(user_KM[:1], WEIGHTS, SEGMENTS)


def joined_kernels(user_KM: Floats) -> Floats:
    """All kernels' vectors as one."""
    return user_KM.reshape(1, -1)


def two_vectors(user_KM: Floats) -> Floats:
    """Two queries; their lists are merged."""
    return user_KM[:2]


LAYOUTS = (  # the first one is what the others are compared with
    Layout("MOPPR", DIM, one_vector),
    Layout("MVKE", KERNELS * DIM, joined_kernels),
    Layout("DMMP", DIM, two_vectors),
    Layout("CSMF", DIM, scaled_segments),
)


@dataclass(frozen=True)
class Built:
    """The items of one width: vectors, index, its bytes on disk."""

    items: Floats
    index: faiss.IndexIVF
    bytes: int


def measure(setting: Setting, scratch: Path) -> list[Cost]:
    """Build both widths in `scratch`, ask, compare."""
    rng, phases = np.random.default_rng(setting.seed), Phases()
    topics = draw_topics(setting.items, DIM, KERNELS, rng)
    with phases("draw items"):
        vectors = write_items(topics, setting.items, scratch, rng)
    shaping_UKM, asking_UKM = (draw_users(topics, setting.users, rng) for _ in range(2))
    built = {}
    for items_NX in vectors:
        width = items_NX.shape[1]
        queries_QX = np.concatenate([_asked(each, shaping_UKM) for each in _of_width(width)])
        built[width] = _build(items_NX, queries_QX, scratch / f"{width}.faiss", phases)
    efforts = []
    with phases("recall", "layouts", len(LAYOUTS)) as progress:
        for layout in LAYOUTS:
            judged_UKM = asking_UKM[:JUDGED_USERS]
            efforts.append(_effort(layout, built[layout.item_dims], judged_UKM, setting))
            progress.advance(1)
    with phases("search", "rounds", setting.rounds) as progress:
        seconds = []
        for _ in range(setting.rounds):
            seconds.append(
                [
                    [
                        _seconds(layout, built[layout.item_dims], asking_UKM, setting.k, probes)
                        for probes in (setting.probes, effort.probes)
                    ]
                    for layout, effort in zip(LAYOUTS, efforts, strict=True)
                ]
            )
            progress.advance(1)
    return _costs(built, np.array(seconds), efforts)


def _of_width(item_dims: int) -> list[Layout]:
    return [layout for layout in LAYOUTS if layout.item_dims == item_dims]


def _asked(layout: Layout, users_UKM: Floats) -> Floats:
    """All users' queries."""
    return np.concatenate([layout.queries(user_KM) for user_KM in users_UKM])


def _build(items_NX: Floats, queries_QX: Floats, path: Path, phases: Phases) -> Built:
    whitening_X = whitening(queries_QX)
    width = items_NX.shape[1]
    with phases(f"k-means, {width} dims"):
        centroids_CX = train_centroids(items_NX, whitening_X, seed=0)
    with phases(f"fill, {width} dims", "items", 2 * len(items_NX)) as progress:
        inverted = fill_cells(items_NX, whitening_X, centroids_CX, progress)
    faiss.write_index(inverted.faiss_index, str(path))
    return Built(items_NX, inverted.faiss_index, path.stat().st_size)


def _seconds(layout: Layout, built: Built, users_UKM: Floats, k: int, probes: int) -> float:
    """Median over users of one answer: queries, search, merge."""
    parameters = visiting(probes)
    seconds = []
    for user_KM in users_UKM:
        start = time.perf_counter()
        merge(*built.index.search(layout.queries(user_KM), k, params=parameters))
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def merge(scores_QL: Floats, rows_QL: Rows) -> Rows:
    """One list out of several, an item's better score counting; as long as each of them."""
    if len(rows_QL) == 1:
        return rows_QL.ravel()
    rows = rows_QL.ravel()[np.argsort(-scores_QL, axis=None, kind="stable")]
    _, first = np.unique(rows, return_index=True)
    merged_L: Rows = rows[np.sort(first)][: rows_QL.shape[1]]
    return merged_L


@dataclass(frozen=True)
class Effort:
    """Recall at equal visits, and the visits that the target recall takes."""

    recall: float
    probes: int


def _effort(layout: Layout, built: Built, users_UKM: Floats, setting: Setting) -> Effort:
    queries_QX = _asked(layout, users_UKM)
    rows_QL, scores_QL = exact_in_blocks(queries_QX, built.items, setting.k)
    exact = _merged(scores_QL, rows_QL, len(users_UKM))

    def recall(probes: int) -> float:
        found_QL = built.index.search(queries_QX, setting.k, params=visiting(probes))
        found = _merged(*found_QL, len(users_UKM))
        shares = [np.isin(*lists).mean() for lists in zip(exact, found, strict=True)]
        return float(np.mean(shares))

    probes = max(1, setting.probes // 8)
    while probes < built.index.nlist and recall(probes) < setting.recall:
        probes = min(built.index.nlist, math.ceil(probes * GROWTH))
    return Effort(recall(setting.probes), probes)


def _merged(scores_QL: Floats, rows_QL: Rows, users: int) -> list[Rows]:
    """Each user's list, out of the lists of its queries."""
    parts = zip(np.split(scores_QL, users), np.split(rows_QL, users), strict=True)
    return [merge(scores, rows) for scores, rows in parts]


def _costs(
    built: dict[int, Built], seconds_RL2: NDArray[np.float64], efforts: Sequence[Effort]
) -> list[Cost]:
    milliseconds_L2 = 1000 * np.median(seconds_RL2, axis=0)
    ratios_L2 = np.median(seconds_RL2 / seconds_RL2[:, :1], axis=0)
    single = built[LAYOUTS[0].item_dims].bytes
    return [
        Cost(
            name=layout.name,
            item_dims=layout.item_dims,
            searches=len(layout.queries(np.zeros((KERNELS, DIM), np.float32))),
            index_bytes=built[layout.item_dims].bytes,
            bytes_ratio=built[layout.item_dims].bytes / single,
            milliseconds=milliseconds_L2[place, 0],
            time_ratio=ratios_L2[place, 0],
            recall=effort.recall,
            probes_at_recall=effort.probes,
            milliseconds_at_recall=milliseconds_L2[place, 1],
            time_ratio_at_recall=ratios_L2[place, 1],
        )
        for place, (layout, effort) in enumerate(zip(LAYOUTS, efforts, strict=True))
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the table; the exit code."""
    arguments = _parser().parse_args(argv)
    setting = Setting(
        items=arguments.items,
        users=arguments.users,
        rounds=arguments.rounds,
        k=arguments.k,
        probes=arguments.probes,
        recall=arguments.recall,
    )
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("csmf").setLevel(logging.INFO)
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        costs = measure(setting, Path(scratch))
    sys.stdout.write(write_table(arguments.out, setting, costs))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m index_builder.layouts",
        description="Bytes and milliseconds of the ways to serve a multi-objective model.",
    )
    add = parser.add_argument
    add("--items", type=_positive, default=4_000_000, help="catalogue (%(default)s)")
    add("--users", type=_positive, default=500, help="asked in each round (%(default)s)")
    add("--rounds", type=_positive, default=15, help="%(default)s")
    add("--k", type=_positive, default=500, help="length of a list (%(default)s)")
    add("--probes", type=_positive, default=128, help="cells a search visits (%(default)s)")
    add("--recall", type=float, default=0.95, help="of the second timing (%(default)s)")
    add("--out", type=Path, required=True, help="directory for table4.md and table4.json")
    add("--scratch", type=Path, help="for vectors and indexes: 1.9 KB an item (default: /tmp)")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
