"""What a caller of /retrieve may rely on: the right list, in columns, with its versions."""

import json

import numpy as np
import pytest

from bundle.scoring import exact_top_k, scale_query
from bundle.store import read_index
from bundle.towers import open_user_tower
from bundle.weights import ObjectiveWeights

JSON = {"content-type": "application/json"}
STAGES = ("exposure", "click", "conversion")
PAPER = {"exposure": 1.0, "click": 1.8, "conversion": 1.2}


@pytest.fixture(scope="session")
def oracle(release):
    """Exact best items of a user under weights, computed apart from the service."""
    bundle = release.bundle
    index = read_index(release.directory / "index" / "b1", bundle)
    tower = open_user_tower(bundle)

    def best(user, weights, k):
        columns = {name: [value] for name, value in user.items()}
        users_1M = tower.embed(bundle.schema.encode_user(columns, 1).arrays)
        weights_S = ObjectiveWeights.parse(weights, STAGES).as_array()
        queries_1M = scale_query(users_1M, weights_S, bundle.segments)
        rows_1K, scores_1K = exact_top_k(queries_1M, index.item_vectors_NM, k)
        return [row.decode() for row in index.item_ids_N[rows_1K[0]]], scores_1K[0]

    return best


def retrieve(client, user, **fields):
    content = json.dumps({"user": user, **fields})
    response = client.post("/retrieve", content=content, headers=JSON)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize(
    "weights", [PAPER, {"exposure": 0, "click": 1, "conversion": 0}, {"k_d": 0, "k_o": 0, "k_r": 2}]
)
def test_the_list_is_the_exact_best_under_the_weights(reader, users, oracle, weights):
    for user in users[:5]:
        found = retrieve(reader, user, k=50, weights=weights)
        ids, scores = oracle(user, weights, 50)
        assert ids == found["item_ids"]
        np.testing.assert_allclose(found["scores"], scores, rtol=1e-5, atol=1e-5)


def test_weights_and_their_triple_give_the_same_list(reader, users):
    once = retrieve(reader, users[0], k=100, weights=PAPER)
    triple = {stage: 3 * weight for stage, weight in PAPER.items()}
    assert once["item_ids"] == retrieve(reader, users[0], k=100, weights=triple)["item_ids"]


def test_an_answer_names_the_model_the_index_and_the_weights_that_made_it(reader, users):
    found = retrieve(reader, users[0], k=3)
    named = {name: found[name] for name in ("run_id", "build_id", "scenario", "weights_version")}
    assert named == {
        "run_id": "tiny",
        "build_id": "b1",
        "scenario": "default",
        "weights_version": 0,
    }
    assert set(found["timings_ms"]) == {"queue", "encode", "tower", "search", "total"}
    assert all(spent >= 0 for spent in found["timings_ms"].values())


def test_a_set_scenario_serves_its_weights_and_version_at_once(client, users, oracle):
    change = {"weights": PAPER, "author": "ana", "reason": "paper"}
    assert client.put("/scenarios/feed/weights", json=change).status_code == 200
    found = retrieve(client, users[0], k=20, scenario="feed")
    assert (found["scenario"], found["weights_version"]) == ("feed", 1)
    assert found["item_ids"] == oracle(users[0], PAPER, 20)[0]


def test_weights_in_the_request_have_no_version(reader, users):
    assert retrieve(reader, users[0], weights=PAPER)["weights_version"] is None


def test_per_stage_scores_add_up_to_the_score(reader, users):
    found = retrieve(reader, users[0], k=40, weights=PAPER, objective_scores=True)
    assert tuple(found["objective_scores"]) == STAGES
    total = sum(PAPER[stage] * np.array(found["objective_scores"][stage]) for stage in STAGES)
    np.testing.assert_allclose(total, found["scores"], rtol=1e-4, atol=1e-4)
    assert "objective_scores" not in retrieve(reader, users[0])


def test_excluded_items_are_replaced_by_the_next_best(reader, users, oracle):
    ids, _ = oracle(users[0], PAPER, 60)
    excluded = [*ids[:10], ids[3], "no-such-item", "", "i0000001-longer-than-any-id", "\ud800"]
    found = retrieve(reader, users[0], k=50, weights=PAPER, exclude=excluded)
    assert found["item_ids"] == ids[10:60]


def test_a_short_catalogue_gives_a_short_list_never_an_excluded_item(reader, users, oracle):
    ids, _ = oracle(users[0], PAPER, 300)
    assert len(retrieve(reader, users[0], k=1000)["item_ids"]) == 300
    found = retrieve(reader, users[0], k=10, weights=PAPER, exclude=ids[2:])
    assert found["item_ids"] == ids[:2]
    assert retrieve(reader, users[0], k=10, exclude=ids)["item_ids"] == []


@pytest.mark.parametrize(
    ("user", "unknown"),
    [
        ({}, None),
        ({"user_id": None, "recent_items": None, "age": None}, None),
        ({"user_id": "u00001", "hour": 3}, None),
        ({"user_id": "never seen"}, {"features": [], "categories": {"user_id": 1}}),
        ({"user_id": 17, "hour": "25"}, {"features": [], "categories": {"user_id": 1, "hour": 1}}),
        (
            {"recent_items": ["i0000001", "gone", "gone too"]},
            {"features": [], "categories": {"recent_items": 2}},
        ),
        (
            {"colour": {"deep": [1]}, "\ud800": 1, "age": 30},
            {"features": ["?", "colour"], "categories": {}},
        ),
    ],
)
def test_missing_and_unknown_values_are_served_and_named(reader, user, unknown):
    found = retrieve(reader, user, k=5)
    assert len(found["item_ids"]) == 5
    assert found.get("unknown") == unknown


def test_what_was_unknown_is_counted(client):
    user = {"user_id": "never seen", "recent_items": ["gone", "gone too"], "colour": 1, "shape": 2}
    for _ in range(2):
        retrieve(client, user)
    text = client.get("/metrics").text
    assert 'csmf_unknown_categories_total{feature="user_id"} 2.0' in text
    assert 'csmf_unknown_categories_total{feature="recent_items"} 4.0' in text
    assert "csmf_unknown_features_total 4.0" in text


def test_an_unknown_scenario_gets_the_default_weights_where_the_operator_allows_it(
    open_client, users
):
    client = open_client(serve_unknown_scenarios=True)
    found = retrieve(client, users[0], scenario="new-page")
    assert (found["scenario"], found["weights_version"]) == ("default", 0)


def test_requests_are_counted_by_known_scenario_and_status(client, users):
    retrieve(client, users[0])
    for scenario in ("guess-1", "guess-2"):
        client.post("/retrieve", json={"user": {}, "scenario": scenario})
    text = client.get("/metrics").text
    assert 'csmf_requests_total{route="/retrieve",scenario="default",status="200"} 1.0' in text
    assert 'csmf_requests_total{route="/retrieve",scenario="-",status="404"} 2.0' in text
    assert "guess" not in text
