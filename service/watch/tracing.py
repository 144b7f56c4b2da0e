"""Traces of requests, as OpenTelemetry sends them; an optional extra, imported only if asked for.

Decisions
- A request is one span, and each stage a span in it, laid end to end from the times that an answer
  has anyway: nothing is measured twice, and no part of the service knows of spans.
- A caller's `traceparent` (W3C) is continued, and its decision to sample or not is followed; a
  request without one is sampled by the share that was set. Only callers whose key was accepted get
  here, and what needs no key is not traced: nobody else can make the service send spans.
- Attributes name snapshot, scenario, k and status, never a user or what somebody typed.
- Spans leave in the background. A collector that is away costs the spans that it misses, and a
  worker that ends waits for it CLOSE_S at most.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping

from fastapi import FastAPI
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

from service.watch.logs import REQUEST_ID
from service.watch.noted import NOTED, STATUS

QUIET = {"livez", "readyz", "metrics", "docs", "openapi.json", "static-offline-docs"}  # first parts
CARRIED = {b"traceparent", b"tracestate"}
EXPORT_S = 2.0  # for one batch of spans
CLOSE_S = 2.0
FAULT = 500


class Traces:
    """Where the spans of this process go."""

    def __init__(self, url: str, share: float) -> None:
        resource = Resource.create({"service.name": "csmf-retrieval", "process.pid": os.getpid()})
        self._provider = TracerProvider(sampler(share), resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces", timeout=EXPORT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self._provider.get_tracer("csmf-retrieval")

    def follow(self, app: FastAPI) -> None:
        """Trace the requests of an app."""
        app.add_middleware(TraceRequests, tracer=self.tracer)

    def close(self) -> None:
        """Send what is left, if somebody takes it."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(CLOSE_S)


def sampler(share: float) -> ParentBased:
    """The caller's decision; without one a share of all requests."""
    return ParentBased(TraceIdRatioBased(share))


class TraceRequests:
    """ASGI middleware: a span for a request and one for each stage of its answer."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app, self._tracer = app, tracer
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; tell of it once it is answered."""
        if scope["type"] != "http" or _first(scope["path"]) in QUIET:
            await self._app(scope, receive, send)
            return
        carrier = {
            name.decode(): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in CARRIED
        }
        parent = self._propagator.extract(carrier)
        span = self._tracer.start_span(scope["method"], parent, kind=SpanKind.SERVER)
        if not span.is_recording():
            await self._app(scope, receive, send)
            return
        noted: dict[str, object] = {}
        NOTED.set(noted)
        try:
            await self._app(scope, receive, send)
        finally:
            _describe(span, scope, noted)
            self._add_stages(span, noted)
            span.end()

    def _add_stages(self, span: Span, noted: Mapping[str, object]) -> None:
        """Spans of the stages, end to end; what made the list ended when its times were noted."""
        seconds, ended = noted.get("seconds"), noted.get("ended_ns")
        if not isinstance(seconds, Mapping) or not isinstance(ended, int):
            return
        inside = set_span_in_context(span)
        began = ended - int(1e9 * seconds["total"])
        for stage, spent in seconds.items():
            if stage != "total":
                child = self._tracer.start_span(stage, inside, start_time=began)
                began += int(1e9 * spent)
                child.end(began)
        self._tracer.start_span("respond", inside, start_time=ended).end(time.time_ns())


def _first(path: str) -> str:
    return path.removeprefix("/").partition("/")[0]


def _describe(span: Span, scope: Scope, noted: Mapping[str, object]) -> None:
    route, state = getattr(scope.get("route"), "path", "-"), scope["state"]
    span.update_name(f"{scope['method']} {route}")
    said = {
        "http.request.method": scope["method"],
        "http.route": route,
        "http.response.status_code": state[STATUS],
        "csmf.request_id": REQUEST_ID.get(),
        "csmf.scenario": state.get("scenario"),
        "csmf.snapshot": noted.get("snapshot"),
        "csmf.k": noted.get("k"),
    }
    span.set_attributes({name: value for name, value in said.items() if value is not None})
    if state[STATUS] >= FAULT:
        span.set_status(StatusCode.ERROR)
