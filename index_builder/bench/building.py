"""A build against what its libraries take for the same: encoding, cells, effort map.

    python -m index_builder.bench.building --releases bench-work/releases --log bench-work/log \
        --items 1000000 --out docs/results

Decisions
- Encoding, beside onnxruntime in a bare loop: the same tower, batches and threads, over arrays that
  are encoded already. Ours reads the table, encodes, runs the tower, hashes and writes.
- Index, beside FAISS alone: plain k-means on as large a sample, as many iterations, and adding to
  an inverted file with a code of 4 bits for each dim, both over all dims of the vectors. Ours is
  all that a build does with vectors: copies, the space of scores, which has fewer dims and so
  fewer codes, cells, filling, effort map, golden set, writing, hashing.
- Both go in turns, in several rounds, and the least that a step took counts. It is given on the
  clock and in the processor's time: where other programs keep the cores busy, what it costs.
- The table is the log's items, encoded as often as ENCODED needs: under other ids the tower would
  know none of them. The vectors are the published index's, enlarged (`index_builder.enlarge`);
  users are its calibration sample, half of them to shape the cells.

Dimension letters: N items, M vector dims, B users, G directions.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from bundle.codes import Codes
from bundle.faiss_file import write_faiss
from bundle.files import sha256
from bundle.scoring import exact_top_k, scale_query
from bundle.store import Bundle, Index, read_current, read_pair
from bundle.towers import open_item_tower
from index_builder.bench.building_page import GOALS, NAME, met, page, ratios, write_page
from index_builder.build import vector_facts
from index_builder.calibrate import Target, calibrate, list_lengths
from index_builder.cells import (
    ITERATIONS,
    SAMPLE_PER_CELL,
    InvertedFile,
    cell_count,
    fill_cells,
    train_centroids,
)
from index_builder.codes import BLOCK, Floats
from index_builder.columns import feature_columns
from index_builder.copies import find_copies
from index_builder.encode import AT_ONCE, encode_unfinished
from index_builder.enlarge import enlarge
from index_builder.golden import CASES, LENGTH
from index_builder.grid import weight_directions
from index_builder.progress import Progress
from index_builder.provenance import commit, machine
from index_builder.settings import BuildSettings
from index_builder.space import ScoreSpace, score_space
from index_builder.tables import ITEMS, open_items
from index_builder.truth import find_truth
from index_builder.unfinished import unfinished

ENCODED = 1_048_576  # items of the table that is encoded
CODES: Codes = "int4"  # what a build of trained vectors takes
ROUNDS = 3


@dataclass(frozen=True)
class Cost:
    """Of one step."""

    seconds: float
    processor_s: float


Round = Callable[[], dict[str, Cost]]  # runs all steps once


def main(argv: Sequence[str] | None = None) -> int:
    """Run as told by `argv`; the exit code: 1 where a goal was missed on the clock."""
    options = _parser().parse_args(argv)
    began, measured = datetime.now(UTC), commit()
    bundle, index = read_pair(options.releases, read_current(options.releases))
    with tempfile.TemporaryDirectory(prefix="csmf-building-", dir=options.scratch) as scratch:
        encoded, rounds = measure_encoding(bundle, options.log, Path(scratch), options.encoded)
        steps = _least([rounds() for _ in range(options.rounds)])
        rounds = measure_index(bundle, index, options.items, Path(scratch))
        steps |= _least([rounds() for _ in range(options.rounds)])
    written = {
        "command": shlex.join(
            [
                "python",
                "-m",
                "index_builder.bench.building",
                *(sys.argv[1:] if argv is None else argv),
            ]
        ),
        "began": began.isoformat(timespec="seconds"),
        "commit": measured,
        "machine": machine(),
        "threads": faiss.omp_get_max_threads(),
        "items": options.items,
        "encoded": encoded,
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "steps": {name: vars(cost) for name, cost in steps.items()},
    }
    sys.stdout.write(page(written))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / f"{NAME}.json"
        path.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
        write_page(path)
    return (
        0 if all(met(goal, ratios(written["steps"], "seconds", written)) for goal in GOALS) else 1
    )


def timed(step: Callable[..., Any], *given: object) -> tuple[Any, Cost]:
    """What a step returns, and its cost."""
    clock, processor = time.perf_counter(), time.process_time()
    made = step(*given)
    return made, Cost(time.perf_counter() - clock, time.process_time() - processor)


def measure_encoding(bundle: Bundle, log: Path, scratch: Path, items: int) -> tuple[int, Round]:
    """Both ways to vectors, one after the other: of how many items, at least so many."""
    features, tower = bundle.schema.item, open_item_tower(bundle)
    catalogue = open_items(log / ITEMS, [feature.name for feature in features])
    times = math.ceil(items / len(catalogue))
    encoded = [
        bundle.schema.encode_item(feature_columns(batch, features), len(rows_B)).arrays
        for rows_B, batch in catalogue.batches()
    ]

    pieces = [
        {name: array[start : start + AT_ONCE] for name, array in arrays.items()}
        for arrays in encoded
        for start in range(0, len(arrays[features[0].name]), AT_ONCE)
    ]

    def bare() -> None:
        with ThreadPoolExecutor(faiss.omp_get_max_threads()) as pool:
            for _ in pool.map(tower.embed, pieces * times):
                pass

    def ours() -> None:
        for _ in range(times):
            with unfinished(scratch, "measured") as kept:
                progress = Progress("encode", "items", len(catalogue))
                encode_unfinished(bundle, catalogue, kept, progress)

    def costs() -> dict[str, Cost]:
        return {"encode_bare": timed(bare)[1], "encode": timed(ours)[1]}

    return times * len(catalogue), costs


def measure_index(bundle: Bundle, index: Index, items: int, scratch: Path) -> Round:
    """FAISS's steps and ours, over the same vectors."""
    rng = np.random.default_rng(0)
    items_NM = enlarge(np.array(index.item_vectors_NM), items, scratch / "vectors.npy", rng)
    users_BM = np.array(index.calibration_users_CM)[: BuildSettings().users]
    shaping_BM, measuring_BM = users_BM[::2], users_BM[1::2]
    segments = bundle.segments
    directions_GS = weight_directions(len(segments.names))
    queries = [scale_query(shaping_BM, weights_S, segments) for weights_S in directions_GS]
    target = Target(BuildSettings().target_recall, 1.0)

    def seal(inverted: InvertedFile) -> None:
        exact_top_k(queries[0][:CASES], items_NM, LENGTH)  # as for the golden set
        vector_facts(items_NM, segments, inverted)
        write_faiss(inverted.faiss_index, scratch)
        for path in (*scratch.glob("items.[fl]*"), scratch / "vectors.npy"):
            sha256(path)
            sha256(path)  # once for the manifest, once to verify

    def fill(
        items_NM: Floats, space: ScoreSpace, centroids_CD: Floats, count: Progress
    ) -> InvertedFile:
        copies = find_copies(items_NM)
        return fill_cells(items_NM, space, centroids_CD, count, copies, CODES)

    def cluster() -> tuple[ScoreSpace, Floats]:
        space = score_space(items_NM, queries)
        return space, train_centroids(items_NM, space, 0, CODES)

    def effort_map(inverted: InvertedFile, progress: Progress) -> None:
        measured_GS = np.concatenate([directions_GS, bundle.manifest.weights.as_array()[None]])
        asked, longest = (measured_GS, segments), list_lengths(items)[-1]
        truth = find_truth(measuring_BM, items_NM, *asked, longest, progress)
        calibrate(inverted, items_NM, truth, target)

    def measured() -> dict[str, Cost]:
        steps, count = dict[str, Cost](), Progress("fill", "items", 2 * items)
        bare_CM, steps["faiss_kmeans"] = timed(faiss_kmeans, items_NM)
        (space, centroids_CD), steps["kmeans"] = timed(cluster)
        _, steps["faiss_add"] = timed(faiss_add, items_NM, bare_CM)
        cells = items_NM, space, centroids_CD
        inverted, steps["fill"] = timed(fill, *cells, count)
        _, steps["effort_map"] = timed(effort_map, inverted, count)
        _, steps["seal"] = timed(seal, inverted)
        return steps

    return measured


def faiss_kmeans(items_NM: Floats) -> Floats:
    """Centroids by FAISS alone."""
    count, dim = items_NM.shape
    cells = cell_count(count, CODES)
    sample = np.random.default_rng(0).choice(count, min(count, cells * SAMPLE_PER_CELL), False)
    kmeans = faiss.Kmeans(
        dim, cells, niter=ITERATIONS, max_points_per_centroid=SAMPLE_PER_CELL, seed=0
    )
    kmeans.train(np.ascontiguousarray(items_NM[np.sort(sample)]))
    return np.asarray(kmeans.centroids, np.float32)


def faiss_add(items_NM: Floats, centroids_CM: Floats) -> None:
    """Add all items to an inverted file of FAISS's with these cells."""
    cells, dim = centroids_CM.shape
    quantizer = faiss.IndexFlatL2(dim)
    quantizer.add(centroids_CM)
    index = faiss.IndexIVFPQFastScan(quantizer, dim, cells, dim, 4, faiss.METRIC_INNER_PRODUCT)
    index.by_residual = True
    index.train(np.ascontiguousarray(items_NM[: cells * SAMPLE_PER_CELL]))
    for start in range(0, len(items_NM), BLOCK):
        index.add(np.ascontiguousarray(items_NM[start : start + BLOCK]))


def _least(rounds: Sequence[dict[str, Cost]]) -> dict[str, Cost]:
    """Of each step."""
    return {
        name: Cost(
            min(each[name].seconds for each in rounds),
            min(each[name].processor_s for each in rounds),
        )
        for name in rounds[0]
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m index_builder.bench.building")
    add = parser.add_argument
    add("--releases", type=Path, required=True, help="whose published pair to measure with")
    add("--log", type=Path, required=True, help="the log that its items come from")
    add("--items", type=int, default=1_000_000, help="of the index (%(default)s)")
    add("--encoded", type=int, default=ENCODED, help="items to encode (%(default)s)")
    add("--rounds", type=int, default=ROUNDS, help="of each step (%(default)s)")
    add("--scratch", type=Path, help="where to keep vectors meanwhile; default: the system's")
    add("--out", type=Path, help=f"write {NAME}.json and {NAME}.md to this directory")
    return parser


if __name__ == "__main__":
    sys.exit(main())
