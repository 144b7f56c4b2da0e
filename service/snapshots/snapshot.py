"""What one worker serves from: a verified bundle, its user tower and its index, as one object.

Immutable: a request takes the snapshot once and reads nothing else, so a swap in mid-request cannot
mix two models. `open_snapshot` verifies every hash and signature; golden queries come after, in
golden.py, because they run through the retriever.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bundle.features import Vector
from bundle.files import Digest
from bundle.manifest import Current, GoldenSet
from bundle.schema import FeatureSchema
from bundle.segments import Segments
from bundle.store import Bundle, Index, read_pair
from bundle.towers import Tower, open_user_tower
from bundle.weights import ObjectiveWeights
from service.retrieval.fresh import FreshIndex
from service.retrieval.index import ItemIndex, open_index


@dataclass(frozen=True)
class Snapshot:
    """One published pair, ready to serve."""

    current: Current
    bundle: Bundle
    tower: Tower
    files: Index
    index: ItemIndex | FreshIndex

    @property
    def golden(self) -> GoldenSet:
        """Queries with their exact answers."""
        return self.files.golden

    @property
    def run_id(self) -> str:
        """The bundle's id."""
        return self.current.run_id

    @property
    def build_id(self) -> str:
        """The index's id."""
        return self.current.build_id

    @property
    def name(self) -> str:
        """`run_id/build_id`, for messages."""
        return f"{self.run_id}/{self.build_id}"

    @cached_property
    def segments(self) -> Segments:
        """Stages and their dims."""
        return self.bundle.segments

    @property
    def schema(self) -> FeatureSchema:
        """The encoder of raw features."""
        return self.bundle.schema

    @cached_property
    def default_weights(self) -> ObjectiveWeights:
        """What the bundle recommends."""
        return self.bundle.manifest.weights

    @cached_property
    def user_features(self) -> frozenset[str]:
        """Names of the features that the user tower reads."""
        return frozenset(feature.name for feature in self.schema.user)

    @cached_property
    def user_vectors(self) -> dict[str, int]:
        """Those of them that are vectors, with their dims."""
        features = self.schema.user
        return {feature.name: feature.dim for feature in features if isinstance(feature, Vector)}


def open_snapshot(releases: Path, current: Current, digest_of: Digest | None = None) -> Snapshot:
    """Verify and open a pair. Raises BundleError, or RuntimeError from FAISS."""
    bundle, files = read_pair(releases, current, digest_of)
    return Snapshot(
        current=current,
        bundle=bundle,
        tower=open_user_tower(bundle),
        files=files,
        index=open_index(files),
    )
