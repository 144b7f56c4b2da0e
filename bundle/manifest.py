"""Models of the JSON files that bind artefacts: bundle.json, index.json, delta.json, CURRENT.

Models are strict and closed: a wrong type, a missing field and a field that the version does not
know are all refused. SPEC.md is normative; a change of meaning is a new `format_version`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bundle.effort import EffortMap
from bundle.segments import Segments
from bundle.weights import ObjectiveWeights

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]

BUNDLE_FILES = (
    "user_tower.onnx",
    "item_tower.onnx",
    "features.json",
    "evaluation.json",
    "MODEL_CARD.md",
)
ITEMS, LISTS = "items.faiss", "items.lists"  # see faiss_file.py
INDEX_FILES = (
    ITEMS,
    "item_ids.npy",
    "item_vectors.npy",
    "calibration_users.npy",
    "golden.json",
)
DELTA_FILES = ("item_ids.npy", "item_vectors.npy", "removed_ids.npy")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FileEntry(_Model):
    """One file of the directory: name, length and content hash."""

    path: str
    bytes: int = Field(ge=0)
    sha256: Sha256


def _distinct_paths(files: list[FileEntry]) -> list[FileEntry]:
    paths = [entry.path for entry in files]
    if len(set(paths)) != len(paths):
        raise ValueError(f"each file is listed once: {paths}")
    return files


Files = Annotated[list[FileEntry], AfterValidator(_distinct_paths)]


class Segment(_Model):
    """One stage of the cascade and the dims it owns."""

    stage: Identifier
    size: int = Field(ge=1)


class StageCertificate(_Model):
    """Proof made at the end of a training stage that upstream segments did not change."""

    stage: Identifier
    frozen_sha256: Sha256 = Field(description="hash of all blocks frozen once this stage ended")
    probe_sha256: Sha256 = Field(description="hash of the probe batch's scores up to this stage")
    upstream_bitwise_equal: Literal[True]


class BundleManifest(_Model):
    """`bundle.json`: a trained pair of towers and the meaning of their dims."""

    format: Literal["csmf-bundle"] = "csmf-bundle"
    format_version: Literal[1] = 1
    run_id: Identifier
    segments: list[Segment]
    default_weights: dict[str, float]
    certificates: list[StageCertificate]
    files: Files

    @model_validator(mode="after")
    def _consistent(self) -> BundleManifest:
        layout = self.layout
        ObjectiveWeights.parse(dict(self.default_weights), layout.names)
        if tuple(certificate.stage for certificate in self.certificates) != layout.names:
            raise ValueError(f"need one certificate per stage, in order: {layout.names}")
        return self

    @property
    def layout(self) -> Segments:
        """The segments as offsets."""
        return Segments(
            tuple(segment.stage for segment in self.segments),
            tuple(segment.size for segment in self.segments),
        )

    @property
    def weights(self) -> ObjectiveWeights:
        """Weights to serve with until an operator sets others."""
        return ObjectiveWeights.parse(dict(self.default_weights), self.layout.names)


class VectorFacts(_Model):
    """What the builder saw in the item vectors; for people and dashboards, not for search."""

    norm_quantiles: list[float] = Field(description="at 0, 1, 10, 50, 90, 99, 100 %")
    segment_norms: dict[str, float] = Field(description="mean L2 norm per segment")
    list_size_quantiles: list[float] = Field(
        description="items per cell at the same quantiles; empty for an exact index"
    )
    codes: str = Field("", description="of vectors in items.faiss: float32, fp16, int8 or int4")


class IndexManifest(_Model):
    """`index.json`: an index, the bundle it belongs to, and the recall it was measured to reach."""

    format: Literal["csmf-index"] = "csmf-index"
    format_version: Literal[1] = 1
    build_id: Identifier
    run_id: Identifier
    bundle_sha256: Sha256
    built_at: str = Field(description="ISO 8601, UTC")
    kind: Literal["exact", "ivf"]
    items: int = Field(ge=1)
    dim: int = Field(ge=1)
    effort: EffortMap | None = Field(description="null for an exact index")
    journal_position: int = Field(
        default=0, ge=0, description="the last change of the catalogue that is folded in"
    )
    facts: VectorFacts
    files: Files

    @model_validator(mode="after")
    def _consistent(self) -> IndexManifest:
        if (self.effort is None) != (self.kind == "exact"):
            raise ValueError("an ivf index has an effort map, an exact index has none")
        return self


class DeltaManifest(_Model):
    """`delta.json`: what changed in the catalogue since an index was built."""

    format: Literal["csmf-delta"] = "csmf-delta"
    format_version: Literal[1] = 1
    run_id: Identifier
    build_id: Identifier
    index_sha256: Sha256
    from_position: int = Field(ge=0, description="the index's own; changes after it are in here")
    position: int = Field(ge=1, description="the last change that is in here")
    items: int = Field(ge=0)
    removed: int = Field(ge=0)
    files: Files

    @model_validator(mode="after")
    def _consistent(self) -> DeltaManifest:
        if self.position <= self.from_position:
            raise ValueError(f"position must be above from_position, {self.from_position}")
        return self


class Current(_Model):
    """`CURRENT`: the pair to serve."""

    format: Literal["csmf-current"] = "csmf-current"
    format_version: Literal[1] = 1
    run_id: Identifier
    build_id: Identifier
    bundle_sha256: Sha256
    index_sha256: Sha256
    published_at: str = Field(description="ISO 8601, UTC")


class GoldenCase(_Model):
    """A raw user record and the exact best items under given weights."""

    user: dict[str, object]
    weights: dict[str, float]
    item_ids: list[str] = Field(min_length=1)
    scores: list[float]

    @model_validator(mode="after")
    def _consistent(self) -> GoldenCase:
        if len(self.scores) != len(self.item_ids):
            raise ValueError("need one score per item id")
        return self


class GoldenSet(_Model):
    """`golden.json`: queries that a server answers before it serves a new pair."""

    format: Literal["csmf-golden"] = "csmf-golden"
    format_version: Literal[1] = 1
    cases: list[GoldenCase] = Field(min_length=1)
