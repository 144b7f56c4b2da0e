"""What probes are told."""

import pytest


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_probe_may_ask_with_head(reader, path):
    told, whole = reader.head(path), reader.get(path)
    assert (told.status_code, told.content) == (200, b"")
    assert told.headers["content-length"] == whole.headers["content-length"]


def test_a_probe_that_asks_with_head_hears_that_the_worker_leaves(open_client):
    client = open_client()
    client.app.state.parts.drain.draining = True
    assert client.head("/readyz").status_code == 503
    assert client.head("/livez").status_code == 200


def test_the_description_of_the_service_says_it_once(reader):
    assert list(reader.get("/openapi.json").json()["paths"]["/readyz"]) == ["get"]
