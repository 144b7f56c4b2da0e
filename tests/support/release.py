"""A tiny, real release without torch: ONNX towers, a sealed bundle, the log it could come from.

Every part is the real one: onnxruntime runs the towers, `bundle.store` seals and verifies the
directories, the tables are parquet. Equal arguments give equal bytes. Item vectors are clustered,
and users lean towards their recent items, so that an inverted file behaves as on trained towers.

    release = make_release(tmp_path)                 # tmp_path/releases/tiny + tmp_path/log
    index = add_exact_index(release)                 # …/tiny/index/b1, not published
    publish(release.releases, release.run_id, "b1")
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bundle.attributes import Attribute, AttributeColumn, write_attributes
from bundle.delta import seal_delta, staged_delta
from bundle.features import Categorical, CategorySequence, Numeric, Vector
from bundle.manifest import (
    GoldenCase,
    GoldenSet,
    IndexManifest,
    StageCertificate,
    VectorFacts,
)
from bundle.schema import FeatureSchema, write_schema
from bundle.scoring import exact_top_k, scale_query
from bundle.segments import Segments
from bundle.store import (
    Bundle,
    Index,
    index_files,
    read_bundle,
    read_index,
    seal_bundle,
    seal_index,
    staged_bundle,
    staged_index,
)
from bundle.towers import open_item_tower, open_user_tower
from bundle.writing import to_json

from .log import write_log
from .towers import embedding_table, make_tower

SEGMENTS = Segments(("exposure", "click", "conversion"), (6, 5, 5))


@dataclass(frozen=True)
class Release:
    """Where things are: `releases/<run_id>/` is the bundle, `log/` holds its tables."""

    releases: Path
    run_id: str
    log: Path

    @property
    def directory(self) -> Path:
        """The bundle's directory."""
        return self.releases / self.run_id

    @property
    def bundle(self) -> Bundle:
        """The bundle, read and verified anew."""
        return read_bundle(self.directory)


def make_release(
    root: Path,
    *,
    run_id: str = "tiny",
    segments: Segments = SEGMENTS,
    items: int = 300,
    users: int = 60,
    requests: int = 150,
    content_dim: int = 8,
    users_table: bool = True,
    item_prefix: str = "i",
    seed: int = 0,
) -> Release:
    """Write `root/releases/<run_id>` and `root/log`. The last tenth of the items is cold.

    User features: user_id, hour, recent_items, and age when there is a users table. Item features:
    item_id, brand, price, content.
    """
    item_ids = [f"{item_prefix}{number:07d}" for number in range(items)]
    user_ids = [f"u{number:05d}" for number in range(users)]
    write_log(
        root / "log",
        item_ids,
        user_ids,
        requests=requests,
        segments=segments,
        content_dim=content_dim,
        users_table=users_table,
        rng=np.random.default_rng(seed),
    )
    schema = _schema(user_ids, item_ids[: items - items // 10], content_dim, users_table)
    write_bundle(root / "releases", run_id, segments, schema, seed)
    return Release(root / "releases", run_id, root / "log")


def write_bundle(
    releases: Path, run_id: str, segments: Segments, schema: FeatureSchema, seed: int = 0
) -> None:
    """Seal a bundle with random towers for this schema; vocabularies shared by both towers too."""
    rng = np.random.default_rng(seed)
    tables = {
        name: embedding_table(rng, 1 + len(entries), segments.dim)
        for name, entries in sorted(schema.vocabularies.items())
    }
    with staged_bundle(releases, run_id) as directory:
        for tower, features in (("user", schema.user), ("item", schema.item)):
            model = make_tower(features, tables, segments.dim, rng)
            (directory / f"{tower}_tower.onnx").write_bytes(model.SerializeToString())
        write_schema(directory, schema)
        (directory / "evaluation.json").write_text("{}\n")
        (directory / "MODEL_CARD.md").write_text("# Random towers\n\nUntrained, for tests.\n")
        seal_bundle(
            directory,
            run_id=run_id,
            segments=segments,
            default_weights=dict.fromkeys(segments.names, 1.0),
            certificates=[_certificate(stage) for stage in segments.names],
        )


def add_exact_index(
    release: Release, build_id: str = "b1", *, golden: int = 4, attributes: bool = False
) -> Index:
    """Build `index/<build_id>` by hand: flat inner product, every item, some golden queries.

    With `attributes`: brand, price and in_stock (every third is not; the first is not known).
    """
    bundle = release.bundle
    table = pq.read_table(release.log / "items.parquet").sort_by("item_id")
    encoded = bundle.schema.encode_item(table.to_pydict(), table.num_rows)
    items_NM = open_item_tower(bundle).embed(encoded.arrays)
    ids_N = np.array([item_id.encode() for item_id in table["item_id"].to_pylist()])
    records = user_records(release)
    columns = {name: [record.get(name) for record in records] for name in records[0]}
    encoded = bundle.schema.encode_user(columns, len(records))
    users_CM = open_user_tower(bundle).embed(encoded.arrays)
    with staged_index(bundle, build_id) as directory:
        flat = faiss.IndexFlatIP(bundle.segments.dim)
        flat.add(items_NM)
        faiss.write_index(flat, str(directory / "items.faiss"))
        np.save(directory / "item_ids.npy", ids_N)
        np.save(directory / "item_vectors.npy", items_NM)
        np.save(directory / "calibration_users.npy", users_CM)
        cases = _golden_cases(bundle, records[:golden], users_CM[:golden], items_NM, ids_N)
        (directory / "golden.json").write_bytes(to_json(GoldenSet(cases=cases)))
        if attributes:
            write_attributes(directory, _attributes(table.to_pydict()))
        seal_index(directory, _index_manifest(bundle, build_id, items_NM, directory))
    return read_index(bundle.directory / "index" / build_id, bundle)


def _attributes(columns: dict[str, list]) -> list[AttributeColumn]:
    brands = sorted(set(columns["brand"]))
    stock_N = (np.arange(len(columns["brand"])) % 3 != 0).astype(np.int8)
    stock_N[0] = -1
    codes_N = np.array([1 + brands.index(brand) for brand in columns["brand"]])
    return [
        AttributeColumn(Attribute(name="brand", type="category", vocabulary=brands), codes_N),
        AttributeColumn(Attribute(name="price", type="number"), np.array(columns["price"])),
        AttributeColumn(Attribute(name="in_stock", type="flag"), stock_N),
    ]


def add_delta(index: Index, position: int, kept: list[int], removed: list[int]) -> None:
    """A delta of an index with attributes: some of its rows said again, some removed."""
    with staged_delta(index, position) as directory:
        np.save(directory / "item_ids.npy", index.item_ids_N[kept])
        np.save(directory / "item_vectors.npy", index.item_vectors_NM[kept])
        np.save(directory / "removed_ids.npy", index.item_ids_N[removed])
        write_attributes(directory, [column.rows(kept) for column in index.attributes])
        seal_delta(directory, index, position)


def user_records(release: Release) -> list[dict[str, object]]:
    """The raw user record of every request, as a client of the service would send it."""
    names = {feature.name for feature in release.bundle.schema.user}
    requests = pq.read_table(release.log / "requests.parquet").to_pylist()
    users = release.log / "users.parquet"
    known = (
        {row["user_id"]: row for row in pq.read_table(users).to_pylist()} if users.exists() else {}
    )
    joined = [{**row, **known.get(row["user_id"], {})} for row in requests]
    return [{name: row.get(name) for name in sorted(names)} for row in joined]


def _schema(
    user_ids: list[str], item_ids: list[str], content_dim: int, users_table: bool
) -> FeatureSchema:
    age = [Numeric(name="age", mean=49.0, std=18.0)] if users_table else []
    return FeatureSchema(
        vocabularies={
            "user_id": user_ids,
            "hour": [str(hour) for hour in range(24)],
            "item_id": item_ids,
            "brand": [f"brand{number}" for number in range(20)],
        },
        user=[
            Categorical(name="user_id", vocabulary="user_id"),
            Categorical(name="hour", vocabulary="hour"),
            CategorySequence(name="recent_items", vocabulary="item_id", max_length=5),
            *age,
        ],
        item=[
            Categorical(name="item_id", vocabulary="item_id"),
            Categorical(name="brand", vocabulary="brand"),
            Numeric(name="price", mean=33.0, std=43.0),
            Vector(name="content", dim=content_dim),
        ],
    )


def _certificate(stage: str) -> StageCertificate:
    return StageCertificate(
        stage=stage, frozen_sha256="0" * 64, probe_sha256="0" * 64, upstream_bitwise_equal=True
    )


def _golden_cases(
    bundle: Bundle,
    records: list[dict[str, object]],
    users_BM: NDArray[np.float32],
    items_NM: NDArray[np.float32],
    ids_N: NDArray[np.bytes_],
) -> list[GoldenCase]:
    weights = bundle.manifest.weights
    queries_BM = scale_query(users_BM, weights.as_array(), bundle.segments)
    rows_BK, scores_BK = exact_top_k(queries_BM, items_NM, 10)
    return [
        GoldenCase(
            user=record,
            weights=weights.as_dict(),
            item_ids=[item_id.decode() for item_id in ids_N[rows_K]],
            scores=scores_K.tolist(),
        )
        for record, rows_K, scores_K in zip(records, rows_BK, scores_BK, strict=True)
    ]


def _index_manifest(
    bundle: Bundle, build_id: str, items_NM: NDArray[np.float32], directory: Path
) -> IndexManifest:
    norms_N = np.linalg.norm(items_NM, axis=1)
    return IndexManifest(
        build_id=build_id,
        run_id=bundle.manifest.run_id,
        bundle_sha256=bundle.sha256,
        built_at="2023-11-21T00:00:00+00:00",
        kind="exact",
        items=len(items_NM),
        dim=bundle.segments.dim,
        effort=None,
        facts=VectorFacts(
            norm_quantiles=np.quantile(norms_N, [0, 0.01, 0.1, 0.5, 0.9, 0.99, 1]).tolist(),
            segment_norms={
                name: float(np.linalg.norm(items_NM[:, part], axis=1).mean())
                for name, part in zip(bundle.segments.names, bundle.segments.slices, strict=True)
            },
            list_size_quantiles=[],
        ),
        files=index_files(directory),
    )
