"""What a served layout of vectors costs: bytes of its index and time of a query, in one run.

    costs = measure(setting, drawn, scratch, Phases())

Decisions
- A multi-objective model is served as one vector (MOPPR, CSMF), as the vectors of K kernels joined
  (MVKE), or as one item vector that two user vectors search, their lists merged (DMMP). CSMF also
  scales the segments of each query, and DMMP merges; both are part of the time.
- All layouts have the index we ship (see `index_builder.cells`), with as many cells, over the same
  items. They are timed twice: visiting as many cells, and as many as each needs for its target
  recall of its own exact list, since equal effort does not find equally much.
- An item counts as found by its score, so ties are fair.
- In a round all users ask all layouts, one at a time on one thread, in an order drawn anew: whoever
  asks after another finds in the caches what that one read, which is more than scaling costs. A
  ratio is the median over rounds of the ratio within a round: other programs slow a round's layouts
  alike.

Dimension letters: U users, K kernels, M dims of one vector, Q queries of a user, X dims of an item,
L list, R rounds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import faiss
import numpy as np
from numpy.typing import NDArray

from bundle.scoring import exact_top_k, scale_query
from bundle.segments import Segments
from index_builder.calibrate import ROUNDING
from index_builder.cells import fill_cells, train_centroids, visiting
from index_builder.layouts.table import Cost, Setting
from index_builder.layouts.vectors import KERNELS, Drawn, Floats
from index_builder.progress import Phases
from index_builder.space import score_space

JUDGED_USERS = 256  # whose lists are scanned for exactly too; the cells of 64 differ by half
USERS_BLOCK = 256  # queries of an exact scan: bounds memory
GROWTH = 1.1  # of the visits, until the recall is at its target
Rows = NDArray[np.int64]
Ask = Callable[[Floats], Rows]  # a user's vectors [K, M] → a list


@dataclass(frozen=True)
class Layout:
    """How a model is served: the queries [Q, X] that a user's vectors [K, M] become."""

    name: str
    item_dims: int
    queries: Callable[[Floats], Floats]


def one_vector(user_KM: Floats) -> Floats:
    """The first vector, as it is."""
    return user_KM[:1]


def scaled_segments(weights_S: NDArray[np.float64], segments: Segments, user_KM: Floats) -> Floats:
    """The first vector, its segments scaled by the weights (Eq. 8)."""
    return scale_query(user_KM[:1], weights_S, segments)


def joined_kernels(user_KM: Floats) -> Floats:
    """All kernels' vectors as one."""
    return user_KM.reshape(1, -1)


def two_vectors(user_KM: Floats) -> Floats:
    """Two queries; their lists are merged."""
    return user_KM[:2]


def layouts_of(drawn: Drawn) -> tuple[Layout, ...]:
    """All of them; the first one is what the others are compared with."""
    dim = drawn.segments.dim
    return (
        Layout("MOPPR", dim, one_vector),
        Layout("MVKE", KERNELS * dim, joined_kernels),
        Layout("DMMP", dim, two_vectors),
        Layout("CSMF", dim, partial(scaled_segments, drawn.weights_S, drawn.segments)),
    )


@dataclass(frozen=True)
class Built:
    """The items of one width: vectors, index, its bytes on disk."""

    items: Floats
    index: faiss.IndexIVF
    bytes: int


def measure(setting: Setting, drawn: Drawn, scratch: Path, phases: Phases) -> list[Cost]:
    """Build both widths in `scratch`, ask, compare."""
    layouts = layouts_of(drawn)
    built = {}
    for items_NX in (drawn.items_NM, drawn.gated_NX):
        width = items_NX.shape[1]
        same = [layout for layout in layouts if layout.item_dims == width]
        queries_QX = np.concatenate([_asked(layout, drawn.shaping_UKM) for layout in same])
        built[width] = _build(items_NX, queries_QX, scratch / f"{width}.faiss", phases)
    efforts = []
    with phases("recall", "layouts", len(layouts)) as progress:
        for layout in layouts:
            judged_UKM = drawn.asking_UKM[:JUDGED_USERS]
            efforts.append(_effort(layout, built[layout.item_dims], judged_UKM, setting))
            progress.advance(1)
    with phases("search", "rounds", setting.rounds) as progress:
        seconds, rng = [], np.random.default_rng(setting.seed)
        for _ in range(setting.rounds):
            for probes_L in ([setting.probes] * len(layouts), [each.probes for each in efforts]):
                asks = [
                    _ask(*each, built, setting.k) for each in zip(layouts, probes_L, strict=True)
                ]
                seconds.append(_round(asks, drawn.asking_UKM, rng))
            progress.advance(1)
        seconds_RL2 = np.array(seconds).reshape(setting.rounds, 2, -1).swapaxes(1, 2)
    return _costs(layouts, built, seconds_RL2, efforts)


def _asked(layout: Layout, users_UKM: Floats) -> Floats:
    """All users' queries."""
    return np.concatenate([layout.queries(user_KM) for user_KM in users_UKM])


def _build(items_NX: Floats, queries_QX: Floats, path: Path, phases: Phases) -> Built:
    space = score_space(items_NX, [queries_QX])
    width = items_NX.shape[1]
    with phases(f"k-means, {width} dims"):
        centroids_CX = train_centroids(items_NX, space, seed=0)
    with phases(f"fill, {width} dims", "items", 2 * len(items_NX)) as progress:
        inverted = fill_cells(items_NX, space, centroids_CX, progress)
    faiss.write_index(inverted.faiss_index, str(path))
    index = cast("faiss.IndexIVF", inverted.faiss_index)  # of fp16 it is nothing else
    return Built(items_NX, index, path.stat().st_size)


def _ask(layout: Layout, probes: int, built: Mapping[int, Built], k: int) -> Ask:
    """One user's whole answer: queries, search, merge."""
    parameters, index = visiting(probes), built[layout.item_dims].index
    return lambda user_KM: merge(*index.search(layout.queries(user_KM), k, params=parameters))


def _round(asks: Sequence[Ask], users_UKM: Floats, rng: np.random.Generator) -> list[float]:
    """Median over users of one answer of each layout, in an order drawn anew."""
    seconds_LU = np.empty((len(asks), len(users_UKM)))
    for place in rng.permutation(seconds_LU.size):
        layout, user = np.unravel_index(place, seconds_LU.shape)
        start = time.perf_counter()
        asks[layout](users_UKM[user])
        seconds_LU[layout, user] = time.perf_counter() - start
    return [float(each) for each in np.median(seconds_LU, axis=1)]


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
    queries_UQX = np.stack([layout.queries(user_KM) for user_KM in users_UKM])
    queries_QX = queries_UQX.reshape(-1, queries_UQX.shape[2])
    rows_QL, scores_QL = exact_in_blocks(queries_QX, built.items, setting.k)
    exact = _merged(scores_QL, rows_QL, len(users_UKM))

    def recall(probes: int) -> float:
        found_QL = built.index.search(queries_QX, setting.k, params=visiting(probes))
        found = _merged(*found_QL, len(users_UKM))
        lists = zip(queries_UQX, exact, found, strict=True)
        return float(np.mean([found_share(built.items, *each) for each in lists]))

    probes = max(1, setting.probes // 8)
    while probes < built.index.nlist and recall(probes) < setting.recall:
        probes = min(built.index.nlist, math.ceil(probes * GROWTH))
    return Effort(recall(setting.probes), probes)


def exact_in_blocks(queries_QX: Floats, items_NX: Floats, k: int) -> tuple[Rows, Floats]:
    """`exact_top_k` over blocks of queries, so that scores of all queries never exist at once."""
    parts = [
        exact_top_k(queries_QX[start : start + USERS_BLOCK], items_NX, k)
        for start in range(0, len(queries_QX), USERS_BLOCK)
    ]
    return np.concatenate([rows for rows, _ in parts]), np.concatenate(
        [scores for _, scores in parts]
    )


def found_share(items_NX: Floats, queries_QX: Floats, exact_L: Rows, found_L: Rows) -> float:
    """The share of a list that scores no less than the last item of the exact one.

    Of several queries, an item's best score counts; a row of -1 (nothing found) is a miss.
    """
    scores_L, best_L = (
        (items_NX[rows] @ queries_QX.T).max(axis=1) for rows in (found_L[found_L >= 0], exact_L)
    )
    limit = best_L.min() - ROUNDING * np.abs(best_L).max()
    return float(np.count_nonzero(scores_L >= limit) / len(exact_L))


def _merged(scores_QL: Floats, rows_QL: Rows, users: int) -> list[Rows]:
    """Each user's list, out of the lists of its queries."""
    parts = zip(np.split(scores_QL, users), np.split(rows_QL, users), strict=True)
    return [merge(scores, rows) for scores, rows in parts]


def _costs(
    layouts: Sequence[Layout],
    built: dict[int, Built],
    seconds_RL2: NDArray[np.float64],
    efforts: Sequence[Effort],
) -> list[Cost]:
    milliseconds_L2 = 1000 * np.median(seconds_RL2, axis=0)
    low_L2, ratios_L2, high_L2 = np.quantile(
        seconds_RL2 / seconds_RL2[:, :1], [0.25, 0.5, 0.75], axis=0
    )
    first = layouts[0]
    single, dim = built[first.item_dims].bytes, first.item_dims
    return [
        Cost(
            name=layout.name,
            item_dims=layout.item_dims,
            searches=len(layout.queries(np.zeros((KERNELS, dim), np.float32))),
            index_bytes=built[layout.item_dims].bytes,
            bytes_ratio=built[layout.item_dims].bytes / single,
            milliseconds=milliseconds_L2[place, 0],
            time_ratio=ratios_L2[place, 0],
            time_ratio_quartiles=(low_L2[place, 0], high_L2[place, 0]),
            recall=effort.recall,
            probes_at_recall=effort.probes,
            milliseconds_at_recall=milliseconds_L2[place, 1],
            time_ratio_at_recall=ratios_L2[place, 1],
        )
        for place, (layout, effort) in enumerate(zip(layouts, efforts, strict=True))
    ]
