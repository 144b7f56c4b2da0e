"""One build, from a release and a log to a sealed index: encode, cluster, calibrate, seal.

Decisions
- Small catalogues get an exact index: below `exact_below` items a scan is a small part of a
  request, its recall is 1 for all weights, and it needs no calibration.
- Nothing is visible until the index is whole, verified and at its target recall; a build that
  fails, or is killed, leaves the releases as they were. A killed one, repeated, goes on where it
  was; see unfinished.py.
- `build_id` is the time and six digits of a hash of what went in (bundle, catalogue, users drawn,
  settings), so that a list of builds sorts by age, and equal digits mean equal input.
- Users that shape the space of scores and users that measure recall are different people.

    report = build_index(Path("releases/r1"), Path("log"), BuildSettings())
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from bundle.attributes import write_attributes
from bundle.copies import write_copies
from bundle.effort import EffortMap
from bundle.faiss_file import write_faiss
from bundle.files import sha256
from bundle.manifest import ITEMS as FAISS
from bundle.manifest import LISTS, IndexManifest, VectorFacts
from bundle.scoring import scale_query
from bundle.segments import Segments
from bundle.store import INDEXES, Bundle, index_files, read_bundle, seal_index, staged_index
from bundle.writing import to_json
from index_builder.attributes import read_attributes
from index_builder.calibrate import Target, require_target
from index_builder.cells import InvertedFile
from index_builder.codes import BLOCK
from index_builder.encode import encode_unfinished, encode_users
from index_builder.fold import folded_items
from index_builder.golden import golden_set
from index_builder.grid import weight_directions
from index_builder.invert import Asking, build_inverted
from index_builder.journal import Journal
from index_builder.latency import Search, search_milliseconds
from index_builder.progress import Phases
from index_builder.settings import BuildSettings
from index_builder.tables import ITEMS, Catalogue, Record, open_items, sample_users
from index_builder.unfinished import VECTORS, Unfinished, unfinished

Floats = NDArray[np.float32]
LIBRARIES = " ".join(f" {name} {version(name)}" for name in ("numpy", "faiss-cpu", "onnxruntime"))
QUANTILES = (0, 0.01, 0.1, 0.5, 0.9, 0.99, 1)


@dataclass(frozen=True)
class Inputs:
    """A verified bundle, the catalogue, and two groups of users who have nobody in common."""

    bundle: Bundle
    catalogue: Catalogue
    catalogue_sha256: str
    shaping: list[Record]
    measuring: list[Record]


@dataclass(frozen=True)
class BuildReport:
    """What was built, where, and at what cost."""

    manifest: IndexManifest
    directory: Path
    unknown: Counter[str]  # per item feature, values that training never saw
    seconds: dict[str, float]  # per phase
    search_ms: dict[int, float]  # per list length

    @property
    def bytes_per_item(self) -> float:
        """Of what a search scans; vectors that lie beside it are not counted."""
        searched = sum(each.bytes for each in self.manifest.files if each.path in (FAISS, LISTS))
        return searched / self.manifest.items


def build_index(release: Path, log: Path, settings: BuildSettings) -> BuildReport:
    """Build and seal an index of `log`'s items, changes folded in, for the bundle in `release`.

    Raises BundleError for a malformed bundle, InputError for a malformed log, BelowTargetError.
    """
    with folded_items(log, Journal(release.resolve().parent), settings.changes_after) as (
        items,
        position,
    ):
        return _build(release, log, items, position, settings)


def _build(
    release: Path, log: Path, items: Path, position: int, settings: BuildSettings
) -> BuildReport:
    phases = Phases()
    with phases("read"):
        inputs = read_inputs(release, log, settings, items)
    built_at = datetime.now(UTC)
    build_id = _build_id(built_at, inputs, settings)
    indexes = inputs.bundle.directory / INDEXES
    with (
        unfinished(indexes, _identity(inputs, settings) + LIBRARIES) as kept,
        staged_index(inputs.bundle, build_id) as staging,
    ):
        items_NM, unknown = _write_vectors(inputs, kept, staging, phases)
        users_BM = _write_users(inputs, items_NM, staging)
        write_attributes(staging, read_attributes(inputs.catalogue, settings.attributes))
        inverted, effort = None, None
        if len(items_NM) >= settings.exact_below:
            inverted, effort = _invert(inputs, items_NM, users_BM, settings, kept, phases)
        with phases("seal"):
            index = inverted.faiss_index if inverted else _exact_index(items_NM)
            write_faiss(index, staging)
            write_copies(staging, inverted.copies if inverted else None)
            manifest = IndexManifest(
                build_id=build_id,
                run_id=inputs.bundle.manifest.run_id,
                bundle_sha256=inputs.bundle.sha256,
                built_at=built_at.isoformat(timespec="seconds"),
                kind="ivf" if effort else "exact",
                items=len(items_NM),
                dim=inputs.bundle.segments.dim,
                effort=effort,
                journal_position=position,
                facts=vector_facts(items_NM, inputs.bundle.segments, inverted),
                files=index_files(staging),
            )
            seal_index(staging, manifest)
    directory = inputs.bundle.directory / "index" / build_id
    default_S = inputs.bundle.manifest.weights.as_array()
    queries_BM = scale_query(users_BM, default_S, inputs.bundle.segments)
    search = inverted.search if inverted else _searching(index)
    milliseconds = search_milliseconds(search, len(items_NM), effort, queries_BM, default_S)
    return BuildReport(manifest, directory, unknown, phases.seconds, milliseconds)


def read_inputs(
    release: Path, log: Path, settings: BuildSettings, items: Path | None = None
) -> Inputs:
    """Read and check everything a build needs, before anything is written."""
    bundle = read_bundle(release)
    features = [feature.name for feature in bundle.schema.item]
    catalogue = open_items(items or log / ITEMS, features)
    records, user_ids = sample_users(log, bundle.schema, settings.users, settings.seed)
    people = np.random.default_rng(settings.seed).permutation(sorted(set(user_ids)))
    measured = set(people[: max(1, len(people) // 2)].tolist())
    measuring = [record for record, user in zip(records, user_ids, strict=True) if user in measured]
    shaping = [
        record for record, user in zip(records, user_ids, strict=True) if user not in measured
    ]
    digest = sha256(catalogue.path)
    return Inputs(bundle, catalogue, digest, shaping or measuring, measuring)


def _build_id(built_at: datetime, inputs: Inputs, settings: BuildSettings) -> str:
    digits = _identity(inputs, settings)[:6]
    return f"{built_at:%Y%m%dT%H%M%S}.{built_at.microsecond // 1000:03d}Z-{digits}"


def _identity(inputs: Inputs, settings: BuildSettings) -> str:
    tables = (inputs.catalogue_sha256, inputs.shaping, inputs.measuring)
    identity = repr((inputs.bundle.sha256, tables, settings))
    return hashlib.sha256(identity.encode()).hexdigest()


def _write_vectors(
    inputs: Inputs, kept: Unfinished, staging: Path, phases: Phases
) -> tuple[Floats, Counter[str]]:
    np.save(staging / "item_ids.npy", inputs.catalogue.ids_N)
    with phases("encode", "items", len(inputs.catalogue)) as progress:
        items_NM, unknown = encode_unfinished(inputs.bundle, inputs.catalogue, kept, progress)
    (staging / VECTORS).hardlink_to(kept.vectors)
    return items_NM, unknown


def _write_users(inputs: Inputs, items_NM: Floats, staging: Path) -> Floats:
    users_BM = encode_users(inputs.bundle, inputs.measuring)
    np.save(staging / "calibration_users.npy", users_BM)
    golden = golden_set(inputs.bundle, inputs.measuring, users_BM, items_NM, inputs.catalogue.ids_N)
    (staging / "golden.json").write_bytes(to_json(golden))
    return users_BM


def _invert(
    inputs: Inputs,
    items_NM: Floats,
    users_BM: Floats,
    settings: BuildSettings,
    kept: Unfinished,
    phases: Phases,
) -> tuple[InvertedFile, EffortMap]:
    segments, default_S = inputs.bundle.segments, inputs.bundle.manifest.weights.as_array()
    directions_GS = weight_directions(len(segments.names))
    asking = Asking(
        shaping_BM=encode_users(inputs.bundle, inputs.shaping),
        measuring_BM=users_BM,
        directions_GS=directions_GS,
        measured_GS=np.concatenate([directions_GS, default_S[None]]),
        segments=segments,
    )
    target = Target(settings.target_recall, settings.max_effort)
    inverted, effort = build_inverted(
        items_NM, asking, target, settings.codes, settings.seed, phases, kept.array
    )
    require_target(effort, target, segments)
    return inverted, effort


def _exact_index(items_NM: Floats) -> faiss.IndexFlatIP:
    index = faiss.IndexFlatIP(items_NM.shape[1])
    for start in range(0, len(items_NM), BLOCK):
        index.add(np.ascontiguousarray(items_NM[start : start + BLOCK]))
    return index


def _searching(index: faiss.Index) -> Search:
    return lambda queries_BM, k, _: index.search(queries_BM, k)


def vector_facts(
    items_NM: Floats, segments: Segments, inverted: InvertedFile | None
) -> VectorFacts:
    """Norms of the vectors, whole and per segment, and cell sizes; read in blocks."""
    squares_NS = np.concatenate(
        [
            np.stack(
                [
                    np.square(items_NM[start : start + BLOCK, part]).sum(axis=1)
                    for part in segments.slices
                ],
                axis=1,
            )
            for start in range(0, len(items_NM), BLOCK)
        ]
    )
    means_S = np.sqrt(squares_NS).mean(axis=0)
    sizes = np.quantile(inverted.sizes_C, QUANTILES).tolist() if inverted else []
    return VectorFacts(
        norm_quantiles=np.quantile(np.sqrt(squares_NS.sum(axis=1)), QUANTILES).tolist(),
        segment_norms=dict(zip(segments.names, means_S.tolist(), strict=True)),
        list_size_quantiles=sizes,
        codes=inverted.codes if inverted else "float32",
    )
