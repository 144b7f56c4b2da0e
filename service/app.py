"""The one place where the service is put together.

`create_app()` is what every worker process calls; it reads its settings from the environment. The
interactive documentation at /docs is served from a local package: nothing here needs the internet.

uvicorn ends all workers when one cannot start. `csmf-serve` has checked that they can, so a worker
that cannot is one that is started again amid trouble: it ends alone and is tried again, while the
others serve on.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline

from service.access.ring import open_ring
from service.api import batch, health, preview, retrieve, score, weights
from service.api.auth import AskForKey, RefusePages, document_keys
from service.api.door import ADMISSION, DRAIN
from service.api.errors import install_handlers
from service.api.gate import Gate
from service.api.middleware import CloseWhenDraining, LimitBody, MeasureAnswers
from service.api.request_id import IdentifyRequest
from service.api.short import ShortWay
from service.load.admission import Admission
from service.load.compute import Compute
from service.load.drain import Drain, leave_with_parent
from service.load.effort import EffortSteps
from service.load.pulse import Pulse
from service.parts import Parts
from service.settings import Settings, read_settings
from service.snapshots.bounds import SizeBounds
from service.snapshots.memory import lasting_objects_set_aside
from service.snapshots.releases import Listener, SnapshotHolder, ignore
from service.watch.sampling import Sampling
from service.watch.scrape import write_for_scrapes
from service.watch.telemetry import Telemetry
from service.weights.board import Records, WeightsBoard
from service.weights.embedded import EmbeddedStore
from service.weights.last_known import LastKnown
from service.weights.scenarios import unfit
from service.weights.store import WeightsStore

if TYPE_CHECKING:
    from service.features.store import FeatureStore
    from service.watch.tracing import Traces

log = logging.getLogger(__name__)

RESTART_S = 1.0  # between attempts of a worker to start
# FastAPI's own, which asks the environment for it with each request; ours are in watch/.
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}

DESCRIPTION = """Retrieves items for a user by one search whose objective weights operators change
while it serves. Every refusal has the body `{"error": {code, field, value, expected, message,
request_id}}`."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """An ASGI app; its parts are loaded when it starts, and it fails to start without a pair.

    Raises KeysError where settings do not say who may call.
    """
    settings = settings or read_settings()
    write_for_scrapes()
    telemetry, drain = Telemetry(), Drain()
    effort = EffortSteps(settings.recall_floor)
    admission = Admission(settings.max_in_flight, effort.note)
    ring = open_ring(settings, telemetry.keys_unreadable.set)
    traces = open_traces(settings)
    app = FastAPIOffline(
        redoc_url=None,
        title="CSMF retrieval",
        description=DESCRIPTION,
        version="1",
        telemetry=NO_TELEMETRY,
        lifespan=_lifespan(settings, telemetry, drain, admission, effort, traces),
    )
    app.add_middleware(ShortWay, routes=(retrieve.SHORT, batch.SHORT, score.SHORT))
    app.add_middleware(LimitBody, max_bytes=settings.max_body_bytes, most=settings.max_in_flight)
    app.add_middleware(Gate, admission=admission, default_ms=settings.deadline_ms)
    if traces:
        traces.follow(app)
    if ring:
        app.add_middleware(
            AskForKey, ring=ring, telemetry=telemetry, open_metrics=settings.open_metrics
        )
    else:
        app.add_middleware(RefusePages)
    app.add_middleware(MeasureAnswers, telemetry=telemetry)
    app.add_middleware(CloseWhenDraining, drain=drain)
    app.add_middleware(IdentifyRequest, access_log=settings.access_log)
    install_handlers(app)
    for api in (retrieve, batch, score, weights, preview, health):
        app.include_router(api.router)
    if ring:
        document_keys(app)
    return app


def open_store(settings: Settings) -> WeightsStore:
    """Redis if a URL is set, else a local file. Raises StoreUnavailableError for the latter."""
    url = settings.redis_url.get_secret_value()
    if not url:
        return EmbeddedStore(settings.state_dir / "weights.sqlite3")
    from service.weights.redis_store import RedisStore  # noqa: PLC0415  (slow; not all have one)

    return RedisStore(url)


def open_traces(settings: Settings) -> Traces | None:
    """Where spans go, if anywhere. Raises RuntimeError where the extra is not installed."""
    if not settings.traces_url:
        return None
    try:
        from service.watch.tracing import Traces  # noqa: PLC0415  (an extra, for those who want it)
    except ImportError as error:
        raise RuntimeError(
            f"CSMF_TRACES_URL: expected the extra `tracing` to be installed, but {error}; run "
            "pip install 'csmf-retrieval[tracing]', or leave it empty"
        ) from None
    return Traces(settings.traces_url, settings.traces_share)


def open_features(settings: Settings, telemetry: Telemetry) -> FeatureStore | None:
    """The feature store, if one is set. Raises FeaturesUrlError."""
    if not settings.features_url.get_secret_value():
        return None
    from service.features.store import FeatureStore  # noqa: PLC0415  (slow; not all have one)

    return FeatureStore(settings, telemetry)


def open_holder(settings: Settings, on_change: Listener = ignore) -> SnapshotHolder:
    """The pair to serve, loaded. Raises BundleError, SizeError, GoldenCheckError, RuntimeError."""
    bounds = SizeBounds(settings.min_items, settings.max_items, settings.max_shrink)
    return SnapshotHolder(
        settings.releases,
        settings.state_dir,
        poll_s=settings.releases_poll_s,
        bounds=bounds,
        pin=settings.pin,
        on_change=on_change,
    )


def _lifespan(
    settings: Settings,
    telemetry: Telemetry,
    drain: Drain,
    admission: Admission,
    effort: EffortSteps,
    traces: Traces | None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[dict[str, Any]]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        leave_with_parent()
        async with AsyncExitStack() as stack:
            if traces:
                stack.callback(traces.close)
            with _ending_alone():
                app.state.parts = _put_together(
                    settings, telemetry, drain, admission, effort, stack
                )
            drain.take_sigterm(settings.drain_delay_s)
            pulse = Pulse(admission, effort, telemetry)
            stack.callback(pulse.write)
            beating = asyncio.create_task(pulse.run())
            stack.callback(beating.cancel)
            yield {ADMISSION: admission, DRAIN: drain}

    return lifespan


@contextmanager
def _ending_alone() -> Iterator[None]:
    """Keep a failed start from the supervisor, if there is one: to it, this worker just died."""
    try:
        yield
    except Exception:
        if multiprocessing.parent_process() is None:
            raise
        log.exception("this worker cannot start; it is tried again, the others serve on")
        time.sleep(RESTART_S)
        os._exit(1)


def _put_together(
    settings: Settings,
    telemetry: Telemetry,
    drain: Drain,
    admission: Admission,
    effort: EffortSteps,
    stack: AsyncExitStack,
) -> Parts:
    holder = open_holder(settings, telemetry.observe_snapshot)
    store = open_store(settings)
    stack.callback(store.close)
    board = WeightsBoard(
        store,
        LastKnown(settings.state_dir / "last-known-weights.sqlite3"),
        poll_s=settings.weights_poll_s,
        on_refresh=_OnRefresh(telemetry, holder),
        on_put_back=telemetry.weights_put_back.inc,
    )
    compute = Compute(settings.max_in_flight, admission)
    stack.callback(compute.close)
    features = open_features(settings, telemetry)
    if features:
        stack.push_async_callback(features.close)
    board.start()
    stack.callback(board.stop)
    holder.start()
    stack.callback(holder.stop)
    sampling = Sampling(settings.recall_sample, telemetry)
    sampling.start()
    stack.callback(sampling.stop)
    stack.enter_context(lasting_objects_set_aside())
    log.info("serving %s with %s scenarios", holder.snapshot.name, len(board.records))
    return Parts(
        settings=settings,
        telemetry=telemetry,
        holder=holder,
        store=store,
        board=board,
        admission=admission,
        effort=effort,
        compute=compute,
        drain=drain,
        features=features,
        sampling=sampling,
    )


class _OnRefresh:
    """Shows what is in force and how fresh; warns of records that cannot be served, once."""

    def __init__(self, telemetry: Telemetry, holder: SnapshotHolder) -> None:
        self._telemetry, self._holder = telemetry, holder
        self._warned: list[str] = []

    def __call__(self, records: Records, refreshed_at: float | None) -> None:
        self._telemetry.observe_weights(records, refreshed_at)
        stages = self._holder.snapshot.segments.names
        misfits = unfit(records, self._holder.snapshot)
        self._telemetry.weights_unfit.set(len(misfits))
        if misfits and misfits != self._warned:
            log.warning(
                "weights of %s do not fit the stages %s and are passed over",
                misfits,
                stages,
            )
        self._warned = misfits
