"""What an explanation may be trusted for: it tells the search that made the list."""

import json

import pytest
from support.release import make_release, user_records

from bundle.store import read_current, read_pair
from index_builder.cli import main

JSON = {"content-type": "application/json"}
PAPER = {"exposure": 1.0, "click": 1.8, "conversion": 1.2}
CHEAP = [{"attribute": "price", "max": 3}]
SIGNED = {"author": "ana", "reason": "try it"}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A published inverted file with attributes, whose effort map was measured."""
    made = make_release(tmp_path_factory.mktemp("many"), items=2000, users=60, requests=150)
    options = (
        "--exact-below",
        "100",
        "--max-effort",
        "1",
        "--attributes",
        "brand,price",
        "--publish",
    )
    assert main(["--release", str(made.directory), "--log", str(made.log), *options]) == 0
    return made


def retrieve(client, **body):
    content = json.dumps({"user": {}, "k": 5, **body})
    response = client.post("/retrieve", content=content, headers=JSON)
    assert response.status_code == 200, response.text
    return response.json()


def explained(client, **body):
    return retrieve(client, explain=True, **body)["explanation"]


def test_asking_for_an_explanation_changes_nothing_else(reader, users):
    plain, told = (retrieve(reader, user=users[0], explain=asked) for asked in (False, True))
    assert told.keys() - plain.keys() == {"explanation"}
    for answer in (plain, told):
        answer.pop("timings_ms")
    assert {**plain, "explanation": told["explanation"]} == told


def test_an_exact_search_looks_at_every_item(reader):
    told = explained(reader, exclude=["i0000001", "i0000002", "i0000002", "gone"])["search"]
    assert told == {
        "strategy": "all",
        "candidates": 300,
        "excluded": 2,
        "cells": 0,
        "of_cells": 0,
        "attempts": 1,
        "delta_items": 0,
        "recall": 1.0,
    }


def test_a_search_of_cells_tells_how_many_and_the_recall_measured_there(open_client, many):
    client = open_client(releases=many.releases)
    _, files = read_pair(many.releases, read_current(many.releases))
    effort = files.manifest.effort
    told = explained(client, user=user_records(many)[0], weights=PAPER)["search"]
    assert (told["strategy"], told["candidates"]) == ("cells", 2000)
    assert 1 <= told["cells"] < told["of_cells"] == effort.cells
    assert told["recall"] in {recall for point in effort.points for recall in point.recall}
    everything = explained(client, k=1000, exclude=["i0000001"])["search"]
    assert everything["cells"] >= told["cells"]


def test_a_filter_tells_how_many_items_pass_and_whether_they_were_scanned(open_client, many):
    client = open_client(releases=many.releases)
    passing = len(retrieve(client, filter=CHEAP, k=1000)["item_ids"])
    few = explained(client, filter=CHEAP)["search"]
    assert 0 < passing < 200
    assert (few["strategy"], few["candidates"], few["recall"]) == ("scan", passing, 1.0)
    most = explained(client, filter=[{"attribute": "price", "min": 0}])["search"]
    assert most["strategy"] == "cells"
    assert most["recall"] in (0.95, 1.0)
    nothing = explained(client, filter=[{"attribute": "brand", "equals": "nobody's"}])["search"]
    assert (nothing["strategy"], nothing["candidates"], nothing["attempts"]) == ("none", 0, 0)


def test_weights_are_told_with_their_origin_and_scales(client):
    assert explained(client)["weights"]["origin"] == "bundle"
    client.put("/scenarios/feed/weights", json={**SIGNED, "weights": PAPER})
    own = explained(client, scenario="feed")["weights"]
    assert own["scales"] == pytest.approx({"exposure": 4.0, "click": 3.0, "conversion": 1.2})
    assert (own["origin"], own["weights"]) == ("own", PAPER)
    bold = {**SIGNED, "share": 1, "weights": PAPER}
    client.put("/scenarios/feed/variants/bold", json=bold)
    told = explained(client, scenario="feed", user={"user_id": "u00001"})["weights"]
    assert told["origin"] == "variant:bold"
    told = explained(client, scenario="feed", weights=PAPER)["weights"]
    assert told["origin"] == "request"


def test_features_are_told_as_given_or_missing(reader):
    told = explained(reader, user={"user_id": "u00001", "age": None, "colour": "red"})
    assert told["features"] == {
        "age": "missing",
        "hour": "missing",
        "recent_items": "missing",
        "user_id": "request",
    }
