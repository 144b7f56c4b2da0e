"""POST /scenarios/{name}/preview: a dry run of weights on sample users.

Decisions
- Before is what users of no variant are served now, after is what they would be; the same code as
  /retrieve makes both lists.
- Each user is a turn of its own in the thread for long work, so that a dry run never holds up a
  batch for longer than two searches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from statistics import fmean
from typing import Annotated

from fastapi import APIRouter, Depends

from bundle.features import FeatureError
from bundle.weights import ObjectiveWeights
from service.api.answer import REFUSALS, wrong_feature
from service.api.limits import check_k, check_user
from service.api.weights_schemas import (
    MAX_SAMPLE,
    BeforeAfter,
    Preview,
    PreviewOfUser,
    PreviewRequest,
    Scaled,
)
from service.parts import Parts, parts_of
from service.snapshots.snapshot import Snapshot
from service.weights.preview import Comparison, compare, mean_scores, sample_users
from service.weights.record import ScenarioName
from service.weights.scenarios import in_force, scales

router = APIRouter(prefix="/scenarios", tags=["weights"])
Weights = tuple[ObjectiveWeights, ObjectiveWeights]


@router.post("/{name}/preview", responses=REFUSALS)
async def post_preview(
    name: ScenarioName, body: PreviewRequest, parts: Annotated[Parts, Depends(parts_of)]
) -> Preview:
    """What these weights would do to sample users' lists; changes nothing."""
    snapshot = parts.holder.snapshot
    now = in_force(parts.board.records, snapshot, name, None, datetime.now(UTC))
    after = ObjectiveWeights.parse(dict(body.weights), snapshot.segments.names)
    users = body.users or sample_users(snapshot, MAX_SAMPLE)
    check_k(body.k, parts.settings)
    for number, user in enumerate(users):
        check_user(f"users.{number}", user, snapshot, parts.settings)
    weights = (now.weights, after)
    compared = [
        await _compare(number, user, weights, body.k, snapshot, parts)
        for number, user in enumerate(users)
    ]
    shown = [_shown(comparison) for comparison in compared]
    return Preview(
        run_id=snapshot.run_id,
        build_id=snapshot.build_id,
        scenario=name,
        weights_version=now.version or 0,
        before=Scaled(weights=now.weights.as_dict(), scales=scales(now.weights)),
        after=Scaled(weights=after.as_dict(), scales=scales(after)),
        overlap=fmean(user.overlap for user in shown),
        objective_scores=BeforeAfter(
            before=_mean([user.objective_scores.before for user in shown]),
            after=_mean([user.objective_scores.after for user in shown]),
        ),
        users=shown,
    )


async def _compare(
    number: int,
    user: Mapping[str, object],
    weights: Weights,
    k: int,
    snapshot: Snapshot,
    parts: Parts,
) -> Comparison:
    try:
        return await parts.compute.at_length(lambda _: compare(snapshot, user, weights, k))
    except FeatureError as error:
        raise wrong_feature(error, number) from None


def _shown(comparison: Comparison) -> PreviewOfUser:
    before, after = comparison.before, comparison.after
    user_id = comparison.user.get("user_id")
    return PreviewOfUser(
        user_id=None if user_id is None else str(user_id).encode("utf-8", "replace").decode(),
        before=before.item_ids,
        after=after.item_ids,
        overlap=comparison.overlap,
        objective_scores=BeforeAfter(before=mean_scores(before), after=mean_scores(after)),
    )


def _mean(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {stage: fmean(user[stage] for user in scores) for stage in scores[0]}
