"""The parts of one running worker, put together by app.py and read by the routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request

from service.load.admission import Admission
from service.load.compute import Compute
from service.load.drain import Drain
from service.load.effort import EffortSteps
from service.settings import Settings
from service.snapshots.releases import SnapshotHolder
from service.watch.sampling import Sampling
from service.watch.telemetry import Telemetry
from service.weights.board import WeightsBoard
from service.weights.store import WeightsStore

if TYPE_CHECKING:
    from service.features.store import FeatureStore


@dataclass(frozen=True)
class Parts:
    """Everything a route needs."""

    settings: Settings
    telemetry: Telemetry
    holder: SnapshotHolder
    store: WeightsStore
    board: WeightsBoard
    admission: Admission
    effort: EffortSteps
    compute: Compute
    drain: Drain
    features: FeatureStore | None
    sampling: Sampling


async def parts_of(request: Request) -> Parts:
    """The parts of the worker that answers this request.

    A coroutine, so that no request waits for a thread of those that operators' routes block in.
    """
    parts: Parts = request.app.state.parts
    return parts
