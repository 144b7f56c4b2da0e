"""From the name of a pair to a snapshot that may serve: verify → size → open → golden queries.

The golden queries are the warm-up, too. Measured with 300,000 items of 64 dims: without them the
first ten requests take 7 ms of a core each and the first hundred 1.3 ms; after them 0.6 ms, as all
later ones. Asking them again changes nothing.
"""

from __future__ import annotations

from pathlib import Path

from bundle import errors
from bundle.files import Digest, read_json
from bundle.manifest import BundleManifest, Current, IndexManifest
from bundle.store import BUNDLE_MANIFEST, INDEX_MANIFEST, INDEXES, read_current
from service.snapshots.bounds import Ids, SizeBounds
from service.snapshots.golden import check_golden
from service.snapshots.snapshot import Snapshot, open_snapshot

NO_BOUNDS = SizeBounds()


def load_snapshot(
    releases: Path,
    current: Current | None = None,
    bounds: SizeBounds = NO_BOUNDS,
    served_ids_N: Ids | None = None,
    digest_of: Digest | None = None,
) -> Snapshot:
    """Open a pair, by default the published one, and let it answer its golden queries.

    Raises BundleError, SizeError, GoldenCheckError, or RuntimeError from FAISS.
    """
    snapshot = open_snapshot(releases, current or read_current(releases), digest_of)
    bounds.check(snapshot.name, snapshot.index.ids_N, served_ids_N)
    check_golden(snapshot)
    return snapshot


def pinned(releases: Path, pin: str) -> Current:
    """The pair `RUN/BUILD` as it lies in the folder, whatever CURRENT names. Raises BundleError."""
    run_id, build_id = pin.split("/")
    bundle = releases / run_id
    index = bundle / INDEXES / build_id
    with errors.reading(bundle):
        _, bundle_sha256 = read_json(bundle / BUNDLE_MANIFEST, BundleManifest)
    with errors.reading(index):
        manifest, index_sha256 = read_json(index / INDEX_MANIFEST, IndexManifest)
    return Current(
        run_id=run_id,
        build_id=build_id,
        bundle_sha256=bundle_sha256,
        index_sha256=index_sha256,
        published_at=manifest.built_at,
    )
