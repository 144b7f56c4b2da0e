"""Liveness, readiness and metrics.

A worker listens only once its snapshot is loaded and warm, so a worker that answers is ready until
it is told to leave; a store of weights that is away does not change that, because the last known
weights serve. Probes may ask with HEAD, as some balancers do: the same without the body.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from service.api.errors import ApiError
from service.api.schemas import ErrorBody, refusals
from service.parts import Parts, parts_of
from service.watch import scrape

# Operators' requests wait for the store in FastAPI's own threads; scrapes must not wait for them.
_scraping = ThreadPoolExecutor(1, thread_name_prefix="scrape")
router = APIRouter(tags=["operations"])


@router.head("/livez", include_in_schema=False)
@router.get("/livez")
async def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses={503: {"model": ErrorBody}})
async def readyz(parts: Annotated[Parts, Depends(parts_of)]) -> dict[str, str]:
    """The process serves this pair of bundle and index, and is not about to leave."""
    if parts.drain.draining:
        raise ApiError(503, "shutting_down", "", None, "another instance: this one is leaving")
    snapshot = parts.holder.snapshot
    return {"status": "ready", "run_id": snapshot.run_id, "build_id": snapshot.build_id}


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **refusals(401, 403)},
)
async def metrics(parts: Annotated[Parts, Depends(parts_of)]) -> Response:
    """Prometheus metrics over all workers of this service."""
    parts.telemetry.write()
    registry, loop = parts.telemetry.registry, asyncio.get_running_loop()
    rendered = await loop.run_in_executor(_scraping, scrape.render, registry)
    return Response(rendered, media_type=scrape.CONTENT_TYPE)
