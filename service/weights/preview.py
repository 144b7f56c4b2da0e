"""What other weights would do to a user's list: two searches, compared. Nothing is changed.

Where nobody names sample users, those of the golden queries serve: every index brings some.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bundle.weights import ObjectiveWeights
from service.retrieval.retriever import Query, Retrieved, retrieve
from service.snapshots.snapshot import Snapshot


@dataclass(frozen=True)
class Comparison:
    """A user's lists under two weights."""

    user: Mapping[str, object]
    before: Retrieved
    after: Retrieved

    @property
    def overlap(self) -> float:
        """The part of the longer list that is in both."""
        before, after = set(self.before.item_ids), set(self.after.item_ids)
        return len(before & after) / max(len(before), len(after), 1)


def compare(
    snapshot: Snapshot,
    user: Mapping[str, object],
    weights: tuple[ObjectiveWeights, ObjectiveWeights],
    k: int,
) -> Comparison:
    """The k best items before and after. Raises FeatureError."""
    lists = (retrieve(snapshot, Query(user, w, k, objective_scores=True)) for w in weights)
    return Comparison(user, *lists)


def mean_scores(found: Retrieved) -> dict[str, float]:
    """The mean of each stage's own score over a list; 0 where there is no item."""
    return {
        stage: float(scores_K.mean()) if len(scores_K) else 0.0
        for stage, scores_K in (found.objective_scores or {}).items()
    }


def sample_users(snapshot: Snapshot, most: int) -> Sequence[Mapping[str, object]]:
    """The users of the golden queries, each once."""
    users = {json.dumps(case.user, sort_keys=True): case.user for case in snapshot.golden.cases}
    return list(users.values())[:most]
