"""What the routes that retrieve and score share: the weights they use, what is known of their
users, and how they answer.

Decisions
- The body is written by orjson from numpy columns, past FastAPI's response models: they cost more
  than the search at k = 500, and there is nothing left to validate.
- The records of weights and the clock are read once for all users of a request.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import orjson
from fastapi import Response

from bundle.features import FeatureError
from bundle.weights import ObjectiveWeights
from service.api.errors import ApiError
from service.api.schemas import Listed, Weighted, refusals
from service.features.known import Known, LookedUp, without_store
from service.parts import Parts
from service.retrieval.effort import Effort
from service.retrieval.filters import Condition
from service.retrieval.retriever import ItemColumns, Query, Retrieved
from service.retrieval.users import User
from service.snapshots.snapshot import Snapshot
from service.watch.noted import note
from service.weights.scenarios import InForce, in_force

REFUSALS = refusals(400, 401, 403, 404, 408, 413, 415, 422, 503)


def weights_for(
    body: Weighted, users: Sequence[Mapping[str, object]], snapshot: Snapshot, parts: Parts
) -> list[InForce]:
    """Each user's weights, now. Raises UnknownScenarioError, or WeightsError for given ones."""
    records, now = parts.board.records, datetime.now(UTC)
    serve_unknown = parts.settings.serve_unknown_scenarios
    found = [
        in_force(
            records,
            snapshot,
            body.scenario,
            user.get("user_id"),
            now,
            serve_unknown=serve_unknown,
        )
        for user in users
    ]
    if body.weights is None:
        return found
    given = ObjectiveWeights.parse(dict(body.weights), snapshot.segments.names)
    return [InForce(each.scenario, None, given) for each in found]


async def look_up(
    users: Sequence[Mapping[str, object]], snapshot: Snapshot, parts: Parts, *, seen: bool
) -> LookedUp:
    """What is stored of these users; nothing where there is no store."""
    if parts.features is None:
        return without_store(len(users))
    with parts.admission.elsewhere():
        return await parts.features.of(users, snapshot.user_features, seen=seen)


def query_for(
    body: Listed,
    user: Mapping[str, object],
    weights: InForce,
    known: Known,
    effort: Effort,
) -> Query:
    """The list that the body wants, for a user of whom something may be known."""
    note(k=body.k)
    return Query(
        user,
        weights.weights,
        body.k,
        exclude=[*body.exclude, *(known.seen or ())],
        objective_scores=body.objective_scores,
        filter=[Condition(**dict(condition)) for condition in body.filter],
        stored=known.values,
        effort=effort,
    )


def wrong_feature(error: FeatureError, place: int) -> ApiError:
    """The refusal of one user out of several."""
    field = f"users.{place}.{error.feature}"
    return ApiError(422, "invalid_value", field, error.value, error.expected)


def columns(found: ItemColumns, weights: InForce, known: Known) -> dict[str, object]:
    """A list, by whose weights, and what was known of its user."""
    shown: dict[str, object] = {
        "item_ids": found.item_ids,
        "scores": found.scores,
        "scenario": weights.scenario,
        "weights_version": weights.version,
    }
    if weights.record and weights.record.variants:
        shown["variant"] = weights.variant
    if weights.record and weights.record.schedule:
        shown["scheduled"] = weights.scheduled
    if found.objective_scores is not None:
        shown["objective_scores"] = found.objective_scores
    user = found.user
    if origin := features_of(user, known):
        shown["features"] = origin
    if user.unknown_features or user.unknown_categories:
        shown["unknown"] = {
            "features": user.unknown_features,
            "categories": user.unknown_categories,
        }
    return shown


def listed(body: Listed, found: Retrieved, weights: InForce, known: Known) -> dict[str, object]:
    """The columns of a list, and how many seen items were kept out of it."""
    shown = columns(found, weights, known)
    if found.search.effort < 1:
        shown["effort"] = found.search.effort
    if body.exclude_seen:
        shown["seen_excluded"] = None if known.seen is None else len(known.seen)
    return shown


def features_of(user: User, known: Known) -> str | None:
    """Where the features came from that the request lacked; None where nothing stores any."""
    return "unreadable" if user.unreadable else known.origin


def made_by(snapshot: Snapshot, seconds: Mapping[str, float]) -> dict[str, object]:
    """What made an answer, and in which time."""
    note(snapshot=snapshot.name, seconds=seconds, ended_ns=time.time_ns())
    return {
        "run_id": snapshot.run_id,
        "build_id": snapshot.build_id,
        "catalogue_position": snapshot.index.position,
        "timings_ms": {stage: round(1e3 * spent, 3) for stage, spent in seconds.items()},
    }


def written(answer: Mapping[str, object]) -> bytes:
    """The answer as JSON."""
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def sent(body: bytes) -> Response:
    """What was written, as a response."""
    return Response(body, media_type="application/json")
