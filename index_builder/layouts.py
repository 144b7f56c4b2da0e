"""What a served layout of vectors costs: bytes of its index and time of a query, in one run.

    python -m index_builder.layouts --items 4000000 --out docs/results/paper

Decisions
- A multi-objective model is served as one vector (MOPPR, CSMF), as the vectors of K kernels joined
  (MVKE), or as one item vector that two user vectors search, their lists merged (DMMP). CSMF also
  scales the segments of each query, and DMMP merges; both are part of the time.
- All layouts have the index we ship (see `index_builder.cells`), with as many cells and as many
  visited, over the same synthetic items. Recall against an exact scan of the layout's own scores is
  beside the time, since equal effort does not find equally much.
- Rounds alternate between the layouts, one user at a time on one thread. A ratio is the median over
  rounds of the ratio within a round: other programs slow a round's layouts alike.

Dimension letters: U users, K kernels, M dims of one vector, Q queries of a user, X dims of an item,
L list, R rounds.
"""

from __future__ import annotations

import argparse
import logging
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
        queries_UX = shaping_UKM.reshape(setting.users, -1)[:, :width]
        built[width] = _build(items_NX, queries_UX, scratch / f"{width}.faiss", phases)
    with phases("exact scans", "layouts", len(LAYOUTS)) as progress:
        recalls = []
        for layout in LAYOUTS:
            recalls.append(_recall(layout, built[layout.item_dims], asking_UKM, setting))
            progress.advance(1)
    with phases("search", "rounds", setting.rounds) as progress:
        seconds = []
        for _ in range(setting.rounds):
            seconds.append([_seconds(each, built, asking_UKM, setting) for each in LAYOUTS])
            progress.advance(1)
    return _costs(built, np.array(seconds), recalls)


def _build(items_NX: Floats, queries_UX: Floats, path: Path, phases: Phases) -> Built:
    whitening_X = whitening(queries_UX)
    width = items_NX.shape[1]
    with phases(f"k-means, {width} dims"):
        centroids_CX = train_centroids(items_NX, whitening_X, seed=0)
    with phases(f"fill, {width} dims", "items", 2 * len(items_NX)) as progress:
        inverted = fill_cells(items_NX, whitening_X, centroids_CX, progress)
    faiss.write_index(inverted.faiss_index, str(path))
    return Built(items_NX, inverted.faiss_index, path.stat().st_size)


def _seconds(layout: Layout, built: dict[int, Built], users_UKM: Floats, setting: Setting) -> float:
    """Median over users of one answer: queries, search, merge."""
    index, parameters = built[layout.item_dims].index, visiting(setting.probes)
    seconds = []
    for user_KM in users_UKM:
        start = time.perf_counter()
        scores_QL, rows_QL = index.search(layout.queries(user_KM), setting.k, params=parameters)
        merge(scores_QL, rows_QL)
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


def _recall(layout: Layout, built: Built, users_UKM: Floats, setting: Setting) -> float:
    """Share of the layout's own exact list that its search finds."""
    queries = [layout.queries(user_KM) for user_KM in users_UKM[:JUDGED_USERS]]
    exact_rows, exact_scores = exact_in_blocks(np.concatenate(queries), built.items, setting.k)
    shares = []
    for place, queries_QX in enumerate(queries):
        part = slice(place * len(queries_QX), (place + 1) * len(queries_QX))
        scores_QL, rows_QL = built.index.search(
            queries_QX, setting.k, params=visiting(setting.probes)
        )
        exact_L = merge(exact_scores[part], exact_rows[part])
        shares.append(np.isin(exact_L, merge(scores_QL, rows_QL)).mean())
    return float(np.mean(shares))


def _costs(
    built: dict[int, Built], seconds_RL: NDArray[np.float64], recalls: Sequence[float]
) -> list[Cost]:
    single = built[LAYOUTS[0].item_dims].bytes
    return [
        Cost(
            name=layout.name,
            item_dims=layout.item_dims,
            searches=len(layout.queries(np.zeros((KERNELS, DIM), np.float32))),
            index_bytes=built[layout.item_dims].bytes,
            bytes_ratio=built[layout.item_dims].bytes / single,
            milliseconds=1000 * float(np.median(seconds_RL[:, place])),
            time_ratio=float(np.median(seconds_RL[:, place] / seconds_RL[:, 0])),
            recall=recalls[place],
        )
        for place, layout in enumerate(LAYOUTS)
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
