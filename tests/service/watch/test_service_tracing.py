"""Traces: what a collector sees of a request and its stages, and that there is nothing when off."""

import json
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.waiting import within

from service.access.keys import add_key
from service.api.auth import ROLE_OF
from service.app import create_app
from service.settings import Settings
from service.watch.tracing import QUIET, Traces, sampler

ROOT = Path(__file__).parents[3]
CANARY = "nobody-may-read-this"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
NOT_SAMPLED = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-00"}


@pytest.fixture
def traced(release, tmp_path, monkeypatch):
    """A client of an app that traces a share of its requests, and what was exported."""
    opened = []

    def start(share=1.0, **settings):
        exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler(share), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        traces = Traces("http://127.0.0.1:9", share)
        traces.tracer = provider.get_tracer("test")
        monkeypatch.setattr("service.app.open_traces", lambda _: traces)
        app = create_app(Settings(releases=release.releases, state_dir=tmp_path, **settings))
        client = TestClient(app, raise_server_exceptions=False)
        opened.append(client)
        return client.__enter__(), exporter.get_finished_spans

    yield start
    for client in opened:
        client.__exit__(None, None, None)


def by_name(spans):
    return {span.name: span for span in spans}


def test_a_request_is_a_span_with_its_stages_in_it(traced):
    client, finished = traced()
    answer = client.post("/retrieve", json={"user": {}, "k": 7})
    spans = by_name(finished())
    request = spans.pop("POST /retrieve")
    assert list(spans) == ["queue", "encode", "tower", "search", "respond"]
    assert dict(request.attributes) == {
        "http.request.method": "POST",
        "http.route": "/retrieve",
        "http.response.status_code": 200,
        "csmf.request_id": answer.headers["x-request-id"],
        "csmf.scenario": "default",
        "csmf.snapshot": "tiny/b1",
        "csmf.k": 7,
    }
    timings = answer.json()["timings_ms"]
    for name, span in spans.items():
        assert span.parent.span_id == request.context.span_id
        assert span.end_time <= request.end_time
        if name in timings:
            assert (span.end_time - span.start_time) / 1e6 == pytest.approx(timings[name], abs=2e-3)
    assert spans["encode"].start_time == spans["queue"].end_time


@pytest.mark.parametrize(
    ("path", "body", "stage"),
    [
        ("/retrieve/batch", {"users": [{}, {}], "k": 3}, "search"),
        ("/score", {"user": {}, "item_ids": ["i0000001"]}, "score"),
    ],
)
def test_batches_and_scores_are_traced_too(traced, path, body, stage):
    client, finished = traced()
    assert client.post(path, json=body).status_code == 200
    assert {f"POST {path}", stage, "tower", "respond"} <= set(by_name(finished()))


def test_a_callers_trace_is_continued_and_its_decision_followed(traced):
    client, finished = traced(share=0.0)
    for headers in (SAMPLED, NOT_SAMPLED, {}):
        assert client.post("/retrieve", json={"user": {}}, headers=headers).status_code == 200
    (request,) = [span for span in finished() if span.name == "POST /retrieve"]
    assert f"{request.context.trace_id:032x}" == TRACE
    assert request.parent.is_remote


def test_nobody_without_a_key_has_spans_sent(traced, tmp_path):
    key = add_key(tmp_path / "keys.json", "shop", "retrieve")
    client, finished = traced(keys_file=str(tmp_path / "keys.json"), anonymous="")
    for path in ("/retrieve", "/scenarios", "/nowhere", "/docs", "/openapi.json", "/readyz"):
        client.post(path, json={"user": {}}, headers=SAMPLED)
        client.get(path, headers=SAMPLED)
    assert client.get("/docs", headers=SAMPLED).status_code == 200
    assert not finished()
    known = {**SAMPLED, "authorization": f"Bearer {key}"}
    assert client.post("/retrieve", json={"user": {}}, headers=known).status_code == 200
    assert "POST /retrieve" in by_name(finished())


def test_all_that_needs_no_key_is_not_traced():
    assert {part for part, role in ROLE_OF.items() if role is None} <= QUIET


def test_no_span_has_a_users_values_or_what_somebody_typed(traced):
    client, finished = traced()
    user = {"user_id": CANARY, CANARY: 1}
    client.post("/retrieve", json={"user": user, "exclude": [CANARY]}, headers={"cookie": CANARY})
    client.post("/retrieve", json={"user": {"age": CANARY}})
    client.post("/retrieve", json={"user": {}, "scenario": CANARY})
    client.get(f"/{CANARY}?{CANARY}")
    spans = finished()
    assert {"POST /retrieve", "GET -"} <= set(by_name(spans))
    assert not any(CANARY in span.to_json() for span in spans)


def test_a_fault_is_told_as_one_and_probes_are_not_traced(traced, monkeypatch):
    client, finished = traced()
    monkeypatch.setattr("service.api.retrieve.retrieve", lambda *_: 1 / 0)
    assert client.post("/retrieve", json={"user": {}}).status_code == 500
    client.get("/livez")
    client.get("/metrics")
    (span,) = finished()
    assert (span.attributes["http.response.status_code"], span.status.is_ok) == (500, False)


@pytest.fixture
def collector():
    """A collector that takes OTLP over HTTP: its address, and the names of the spans it got."""
    names = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self):
            content = self.rfile.read(int(self.headers["content-length"]))
            sent = ExportTraceServiceRequest.FromString(content)
            for resource in sent.resource_spans:
                for scope in resource.scope_spans:
                    names.extend(
                        (self.path, span.name, span.trace_id.hex()) for span in scope.spans
                    )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}", names
        server.shutdown()


def test_a_service_sends_its_spans_to_the_collector_at_the_latest_when_it_ends(serve, collector):
    url, names = collector
    service = serve(CSMF_TRACES_URL=url, CSMF_TRACES_SHARE="0")
    headers = {"content-type": "application/json", **SAMPLED}
    request = urllib.request.Request(service.url + "/retrieve", b'{"user": {}}', headers)
    assert json.load(urllib.request.urlopen(request, timeout=10))["item_ids"]
    assert service.stop() == 0
    assert within(5, lambda: ("/v1/traces", "POST /retrieve", TRACE) in names)
    assert ("/v1/traces", "search", TRACE) in names


def test_a_service_whose_collector_is_away_serves_and_ends_as_ever(serve):
    service = serve(CSMF_TRACES_URL="http://127.0.0.1:9", CSMF_TRACES_SHARE="1")
    assert service.call("POST", "/retrieve", {"user": {}})[0] == 200
    assert service.stop() == 0


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_nothing_of_it_is_loaded_unless_asked_for():
    create = "from service.app import create_app; from service.settings import Settings\n"
    done = run(create + "import sys; create_app(Settings()); print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    loaded = set(
        done.stdout.split()
    )  # redis loads the SDK's metrics by itself, where it finds them
    assert not loaded & {"service.watch.tracing", "opentelemetry.sdk.trace", "requests"}


def test_without_the_extra_the_command_says_what_to_install():
    hide = "import sys; sys.modules['opentelemetry.sdk'] = None\n"
    done = run(hide + "from service.cli import main; sys.exit(main(['--traces-url', 'http://x']))")
    assert done.returncode == 2
    assert "pip install 'csmf-retrieval[tracing]'" in done.stderr
