"""The pulse writes down what requests are too cheap to, and measures the loop they come through."""

import asyncio
import time

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.load import pulse as pulses
from service.load.admission import Admission
from service.load.effort import DOWN_S, UP_S, EffortSteps
from service.load.pulse import Pulse
from service.settings import Settings
from service.watch.telemetry import Telemetry


class Parts:
    """A worker's parts, on a clock that stands still unless told."""

    def __init__(self):
        self.now = 0.0
        self.effort = EffortSteps(0.8, lambda: self.now)
        self.admission = Admission(2, self.effort.note, lambda: self.now)
        self.telemetry = Telemetry()
        self.pulse = Pulse(self.admission, self.effort, self.telemetry)

    def value(self, name, **labels):
        return self.telemetry.registry.get_sample_value(name, labels)


@pytest.fixture
def parts():
    return Parts()


def test_refusals_are_counted_once_by_reason_and_those_unparsed_by_route_too(parts):
    parts.admission.coming = 2
    for _ in range(3):
        parts.admission.turns_away("/score")
        parts.pulse.beat(0.0)
    parts.pulse.beat(0.0)
    assert parts.value("csmf_overloaded_total", reason="full") == 3
    refused = {"route": "/score", "scenario": "-", "status": "503"}
    assert parts.value("csmf_requests_total", **refused) == 3


def test_the_gauges_show_the_worker_as_it_is(parts):
    turn = parts.admission.enter()
    parts.now += 0.25
    parts.admission.leave(turn)
    parts.admission.enter()
    parts.pulse.beat(0.1)
    assert parts.value("csmf_in_flight_requests") == 1
    assert parts.value("csmf_in_flight_limit") == 2
    assert parts.value("csmf_service_seconds") == 0.25
    assert 0 < parts.value("csmf_loop_lag_seconds") <= 0.1
    assert parts.value("csmf_search_effort") == 1


def test_effort_recovers_with_the_pulse_though_nobody_asks(parts):
    for _ in range(2):
        parts.effort.note(pressed=True)
        parts.now += DOWN_S
    parts.effort.note(pressed=True)
    parts.pulse.beat(0.0)
    reduced = parts.value("csmf_search_effort")
    parts.now += UP_S
    parts.pulse.beat(0.0)
    assert reduced < parts.value("csmf_search_effort")


def test_a_loop_that_is_busy_shows_in_what_a_request_must_expect(parts, monkeypatch):
    monkeypatch.setattr(pulses, "PERIOD_S", 0.001)

    async def keep_busy():
        beating = asyncio.create_task(parts.pulse.run())
        for _ in range(50):
            time.sleep(0.005)  # this is what keeps the loop busy
            await asyncio.sleep(0)
        beating.cancel()

    asyncio.run(keep_busy())
    assert parts.admission.lag_s > 0.002
    assert parts.admission.expected_s == parts.admission.lag_s


def test_a_fault_of_one_beat_is_logged_once_and_the_next_ones_come(parts, monkeypatch, caplog):
    monkeypatch.setattr(pulses, "PERIOD_S", 0.001)
    beats = iter([OSError("no space left"), OSError("no space left")])
    seen = asyncio.Event()

    def beat(_turn_s):
        for error in beats:
            raise error
        seen.set()

    monkeypatch.setattr(parts.pulse, "beat", beat)

    async def run():
        beating = asyncio.create_task(parts.pulse.run())
        await asyncio.wait_for(seen.wait(), timeout=30)
        beating.cancel()

    asyncio.run(run())
    assert [str(record.exc_info[1]) for record in caplog.records] == ["no space left"]


def test_what_was_counted_since_the_last_beat_is_written_on_leaving(release, tmp_path, monkeypatch):
    monkeypatch.setattr(pulses, "PERIOD_S", 3600)
    app = create_app(Settings(releases=release.releases, state_dir=tmp_path))
    with TestClient(app):
        admission, telemetry = app.state.parts.admission, app.state.parts.telemetry
        admission.coming = admission.limit
        admission.turns_away("/score")
    refused = {"route": "/score", "scenario": "-", "status": "503"}
    assert telemetry.registry.get_sample_value("csmf_requests_total", refused) == 1
    assert telemetry.registry.get_sample_value("csmf_overloaded_total", {"reason": "full"}) == 1
