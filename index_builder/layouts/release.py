"""Trained vectors for a comparison of layouts: a release's own items, more like them, its users.

Decisions
- Items are those of a built index, enlarged (see `index_builder.enlarge`). Users are its
  calibration sample: one random half shapes the cells, the other asks.
- Only CSMF was trained, so the other layouts get its vectors. MOPPR has them unweighted. The two
  user vectors of DMMP are the user's for the last objective and for the one before. MVKE's items
  are under gates, one set of gates a topic (√O cells of the originals), and its user vectors are
  the user's for each objective, the last one first, and for the default weights.

Dimension letters: N items, O originals, M dims of one vector, K kernels, T topics, U users.
"""

from __future__ import annotations

import textwrap
from itertools import cycle, islice
from pathlib import Path

import faiss
import numpy as np

from bundle.scoring import scale_query
from bundle.store import Bundle, Index, read_bundle, read_index
from index_builder.codes import BLOCK
from index_builder.enlarge import enlarge
from index_builder.errors import InputError
from index_builder.layouts.vectors import KERNELS, Drawn, Floats, draw_gates, gated, mapped


def draw_from_release(
    directory: Path, items: int, users: int, scratch: Path, rng: np.random.Generator
) -> Drawn:
    """Vectors like those of the index in `directory`; items are in files of `scratch`.

    Raises BundleError for a malformed index, InputError for one that cannot be compared.
    """
    bundle = read_bundle(directory.resolve().parent.parent)
    index = read_index(directory, bundle)
    _check(bundle, index)
    originals_OM = np.array(index.item_vectors_NM)
    items_NM = enlarge(originals_OM, items, scratch / "plain.npy", rng)
    views_UKM = kernel_views(bundle, rng.permutation(index.calibration_users_CM))
    half = min(users, len(views_UKM) // 2)
    return Drawn(
        bundle.manifest.run_id,
        _note(bundle, index, items, half),
        items_NM,
        _write_gated(originals_OM, items_NM, scratch / "gated.npy", rng),
        views_UKM[half : 2 * half],
        views_UKM[:half],
        bundle.segments,
        bundle.manifest.weights.as_array(),
    )


def kernel_views(bundle: Bundle, users_UM: Floats) -> Floats:
    """[U, K, M] users for each objective alone, the last one first, and for the default weights."""
    alone_SS = np.eye(len(bundle.segments.names))[::-1]
    settings = [*alone_SS, bundle.manifest.weights.as_array()]
    views = [
        scale_query(users_UM, weights_S, bundle.segments)
        for weights_S in islice(cycle(settings), KERNELS)
    ]
    return np.stack(views, axis=1)


def _write_gated(
    originals_OM: Floats, items_NM: Floats, path: Path, rng: np.random.Generator
) -> Floats:
    count, dim = items_NM.shape
    topics = max(2, round(len(originals_OM) ** 0.5))
    kmeans = faiss.Kmeans(dim, topics, niter=10, seed=0, min_points_per_centroid=1)
    kmeans.train(originals_OM)
    gates_TK = draw_gates(topics, rng)
    gated_NX = mapped(path, count, KERNELS * dim)
    for start in range(0, count, BLOCK):
        block_BM = np.ascontiguousarray(items_NM[start : start + BLOCK])
        topic_B = kmeans.index.search(block_BM, 1)[1][:, 0]
        gated_NX[start : start + BLOCK] = gated(block_BM, gates_TK[topic_B])
    return gated_NX


def _check(bundle: Bundle, index: Index) -> None:
    if len(bundle.segments.names) < 2:
        raise InputError(
            "bundle.json",
            "segments",
            found=f"one, {bundle.segments.names[0]!r}",
            remedy="weights do nothing to one segment: give an index of a cascade",
        )
    if len(index.calibration_users_CM) < 2:
        raise InputError(
            "calibration_users.npy",
            "",
            found=f"{len(index.calibration_users_CM)} user",
            remedy="half of them shape cells, half ask: build with csmf-index --users 512 or more",
        )


def _note(bundle: Bundle, index: Index, items: int, users: int) -> str:
    run, originals = bundle.manifest.run_id, index.manifest.items
    whose = (
        f"Items are the {originals:,} of the release `{run}` and others like them, by a smoothed "
        "bootstrap: `index_builder/enlarge.py` says how much alike."
        if items > originals
        else f"Items are {items:,} of the {originals:,} of the release `{run}`."
    )
    weights = " : ".join(f"{value:g}" for value in bundle.manifest.weights.values)
    said = (
        f"{whose} Segments of {', '.join(map(str, bundle.segments.sizes))} dims, default weights "
        f"{weights}; {users} of its users ask. The other rows are CSMF's vectors too: MOPPR's are "
        "unweighted, DMMP asks for the last objective and for the one before, MVKE's items are "
        "under gates and asked for each objective and with the default weights. So bytes, times "
        "and cells are those of a trained cascade; what the others' own training would change is "
        "not in them."
    )
    return textwrap.fill(said, 100, break_on_hyphens=False)
