"""The gate: what a deadline does, and when a request takes its place."""

import asyncio
import json
import time

import pytest
from support.waiting import within

from service.api.gate import Gate
from service.load.admission import TURN, Admission, Turn

BODY = {"user": {}, "k": 3}


def deadline(client, milliseconds, **body):
    return client.post("/retrieve", json=BODY | body, headers={"X-Deadline-Ms": milliseconds})


def busy(client):
    """As if an answer took a second, and one were under way."""
    admission = client.app.state.parts.admission
    admission.service_s, admission.in_flight = 1.0, 1
    return admission


@pytest.mark.parametrize("text", ["soon", "0", "-5", "nan", "1e3", "", "9" * 10])
def test_a_deadline_that_is_no_number_is_refused(reader, text):
    refused = deadline(reader, text)
    assert refused.status_code == 422
    assert refused.json()["error"]["field"] == "X-Deadline-Ms"


def test_a_deadline_that_can_be_met_changes_nothing(reader):
    assert deadline(reader, "30000").status_code == 200
    assert deadline(reader, "30000.5").status_code == 200


def test_a_deadline_that_cannot_be_met_is_refused_at_once(open_client):
    client = open_client()
    busy(client)
    refused = deadline(client, "900")
    error = refused.json()["error"]
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert (error["code"], error["field"], error["value"]) == ("overloaded", "X-Deadline-Ms", 900)
    assert deadline(client, "60000").status_code == 200


def scope_of(milliseconds=30_000):
    """A request to /retrieve as a server hands it to the app."""
    headers = [(b"content-type", b"application/json"), (b"x-deadline-ms", b"%d" % milliseconds)]
    post = {"type": "http", "method": "POST", "path": "/retrieve", "query_string": b""}
    return {**post, "headers": headers, "state": {}}


def in_two_parts(client, between, milliseconds=30_000):
    """The answer to a request of which the second half comes after something has happened."""
    content, sent = json.dumps(BODY).encode(), []
    parts = iter([(content[:5], True), (content[5:], False)])

    async def receive():
        body, more = next(parts)
        if not more:
            between()
        return {"type": "http.request", "body": body, "more_body": more}

    async def send(message):
        sent.append(message)

    client.portal.call(client.app, scope_of(milliseconds), receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_a_whole_request_is_answered_or_has_its_place_after_one_turn_of_the_loop(open_client):
    """Until then the door counts it as on its way; the first of a turn is answered in it."""
    client = open_client()

    async def receive():
        return {"type": "http.request", "body": json.dumps(BODY).encode()}

    async def send(_):
        """Take it."""

    async def in_flight():
        requests = [asyncio.create_task(client.app(scope_of(), receive, send)) for _ in range(3)]
        await asyncio.sleep(0)
        places = client.app.state.parts.admission.in_flight
        answered = sum(request.done() for request in requests)
        await asyncio.gather(*requests)
        return answered, places

    assert client.portal.call(in_flight) == (1, 2)


def test_a_place_that_went_while_the_body_came_is_refused_as_ever(open_client):
    client = open_client()
    admission = client.app.state.parts.admission

    def fill():
        admission.in_flight = 128

    code, body = in_two_parts(client, fill)
    assert (code, body["error"]["code"]) == (503, "overloaded")
    assert (admission.counts["full"], admission.in_flight) == (1, 128)


def test_what_a_body_takes_to_come_is_taken_from_its_deadline(open_client):
    client = open_client()
    admission = busy(client)
    admission.service_s = 0.1
    code, body = in_two_parts(client, lambda: time.sleep(0.5), milliseconds=600)
    assert (code, body["error"]["field"]) == (503, "X-Deadline-Ms")
    assert in_two_parts(client, lambda: None, milliseconds=600)[0] == 200


def test_the_operators_deadline_holds_for_callers_without_one(open_client):
    client = open_client(deadline_ms=900)
    busy(client)
    assert client.post("/retrieve", json=BODY).status_code == 503
    assert deadline(client, "60000").status_code == 200


def test_a_request_whose_deadline_passes_in_the_queue_is_dropped_and_counted(open_client):
    client = open_client()
    admission = busy(client)
    admission.service_s = 0.01
    compute = client.app.state.parts.compute

    async def others():
        await asyncio.gather(*(compute.briefly(lambda _: time.sleep(0.05)) for _ in range(20)))

    client.portal.start_task_soon(others)
    dropped = deadline(client, "300")
    assert dropped.status_code == 503
    assert "in the queue" in dropped.json()["error"]["value"]
    assert admission.counts["deadline"] == 1


def test_refusals_are_in_the_metrics_by_reason(open_client):
    client = open_client()
    busy(client)
    deadline(client, "900")

    def counted():
        return 'csmf_overloaded_total{reason="deadline"} 1.0' in client.get("/metrics").text

    assert within(5, counted)


def test_a_line_break_at_the_end_of_a_path_hides_no_request_from_the_metrics(open_client):
    client = open_client()
    assert client.post("/retrieve%0A", json=BODY).status_code == 200
    counted = 'csmf_requests_total{route="/retrieve",scenario="default",status="200"} 1.0'
    assert counted in client.get("/metrics").text


def test_the_place_of_a_request_is_not_that_of_the_next_on_its_connection():
    seen = []

    async def app(*_):
        seen.append(TURN.get())

    async def follow():
        TURN.set(Turn(0.0, 0.0))
        await Gate(app, Admission(1), 0)({"type": "http", "path": "/livez"}, None, None)

    asyncio.run(follow())
    assert seen == [None]
