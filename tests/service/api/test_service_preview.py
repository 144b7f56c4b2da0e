"""A dry run: the lists, their overlap and scores before and after, and nothing changed."""

from dataclasses import replace

import numpy as np
import pytest

from bundle.delta import Delta
from bundle.manifest import DeltaManifest
from service.retrieval.fresh import with_delta

OWN = {"exposure": 1.0, "click": 1.0, "conversion": 1.0}
SALE = {"exposure": 0.0, "click": 0.0, "conversion": 1.0}
SIGNED = {"author": "ana", "reason": "try it"}


def preview(client, weights, scenario="default", **fields):
    body = {"weights": weights, **fields}
    return client.post(f"/scenarios/{scenario}/preview", json=body)


def lists(client, user, weights, k):
    body = {"user": user, "weights": weights, "k": k, "objective_scores": True}
    return client.post("/retrieve", json=body).json()


def test_the_lists_and_mean_scores_of_each_user_are_those_that_retrieve_gives(reader, users):
    sample, k = users[:3], 20
    shown = preview(reader, SALE, users=sample, k=k).json()
    assert [user["user_id"] for user in shown["users"]] == [user["user_id"] for user in sample]
    for user, found in zip(sample, shown["users"], strict=True):
        for when, weights in (("before", OWN), ("after", SALE)):
            answer = lists(reader, user, weights, k)
            assert found[when] == answer["item_ids"]
            means = {s: np.mean(values) for s, values in answer["objective_scores"].items()}
            assert found["objective_scores"][when] == pytest.approx(means, abs=1e-5)
        assert found["overlap"] == len({*found["before"]} & {*found["after"]}) / k


def test_the_answer_has_the_means_over_users_and_says_what_was_compared(reader, users):
    shown = preview(reader, {"k_d": 0, "k_o": 0, "k_r": 1}, users=users[:5], k=10).json()
    overlaps = [user["overlap"] for user in shown["users"]]
    assert shown["overlap"] == pytest.approx(np.mean(overlaps))
    assert 0 < shown["overlap"] < 1
    for when in ("before", "after"):
        each = [user["objective_scores"][when]["click"] for user in shown["users"]]
        assert shown["objective_scores"][when]["click"] == pytest.approx(np.mean(each))
    gained = shown["objective_scores"]["after"]["conversion"]
    assert gained > shown["objective_scores"]["before"]["conversion"]
    assert (shown["run_id"], shown["build_id"], shown["weights_version"]) == ("tiny", "b1", 0)
    assert (shown["before"]["weights"], shown["after"]["weights"]) == (OWN, SALE)
    assert shown["after"]["scales"] == {"exposure": 1.0, "click": 1.0, "conversion": 1.0}


def test_without_sample_users_it_takes_those_of_the_golden_queries(reader):
    cases = reader.app.state.parts.holder.snapshot.golden.cases
    shown = preview(reader, SALE, k=5).json()
    assert {user["user_id"] for user in shown["users"]} == {c.user["user_id"] for c in cases}
    assert len(shown["users"]) == len({user["user_id"] for user in shown["users"]})


def test_the_weights_in_force_compared_with_themselves_change_nothing(reader):
    shown = preview(reader, {stage: 2 * weight for stage, weight in OWN.items()}).json()
    assert shown["overlap"] == 1
    assert shown["objective_scores"]["before"] == shown["objective_scores"]["after"]


def test_a_dry_run_leaves_no_trace(client):
    client.put("/scenarios/feed/weights", json={"weights": OWN, **SIGNED})
    before = client.get("/scenarios/feed/weights").json()
    assert preview(client, SALE, "feed").status_code == 200
    assert client.get("/scenarios/feed/weights").json() == before


def test_before_is_what_users_of_no_variant_are_served_now(client):
    client.put("/scenarios/feed/weights", json={"weights": OWN, **SIGNED})
    client.put("/scenarios/feed/variants/all", json={"share": 1, "weights": SALE, **SIGNED})
    assert preview(client, SALE, "feed").json()["before"]["weights"] == OWN
    client.put("/scenarios/feed/schedule", json={"weights": SALE, "until": None, **SIGNED})
    assert preview(client, SALE, "feed").json()["before"]["weights"] == SALE


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"weights": {"click": 1.0}}, "weights.exposure"),
        ({"weights": OWN, "k": 0}, "k"),
        ({"weights": OWN, "k": 10_001}, "k"),
        ({"weights": OWN, "users": []}, "users"),
        ({"weights": OWN, "users": [{}] * 101}, "users"),
        ({"weights": OWN, "users": [{}, {"age": "30"}]}, "users.1.age"),
        ({"weights": OWN, "users": [{}, {"recent_items": ["i"] * 1001}]}, "users.1.recent_items"),
        ({"weights": OWN, "author": "ana"}, "author"),
    ],
)
def test_a_wrong_dry_run_is_refused_by_its_field(reader, body, field):
    refused = reader.post("/scenarios/default/preview", json=body)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)


def test_a_dry_run_of_an_unknown_scenario_is_a_404_that_lists_the_others(reader):
    refused = preview(reader, OWN, "gone")
    assert (refused.status_code, refused.json()["error"]["expected"]) == (404, "one of default")


def test_a_user_id_that_is_no_text_is_shown_as_such(reader):
    content = b'{"weights": {"k_d": 1, "k_o": 1, "k_r": 1}, "users": '
    content += b'[{"user_id": "\\ud800"}, {"user_id": 7}, {}]}'
    answer = reader.post(
        "/scenarios/default/preview", content=content, headers={"content-type": "application/json"}
    )
    assert [user["user_id"] for user in answer.json()["users"]] == ["?", "7", None]


def all_removed(snapshot):
    """The same pair after changes that leave nothing of its catalogue."""
    files = snapshot.files
    delta = Delta(
        DeltaManifest.model_construct(position=1),
        files.item_ids_N[:0],
        np.asarray(files.item_vectors_NM[:0]),
        files.item_ids_N,
        tuple(column.rows([]) for column in files.attributes),
    )
    return replace(snapshot, index=with_delta(snapshot.index, delta))


@pytest.mark.filterwarnings("error:Mean of empty slice")
def test_where_no_item_is_left_lists_are_empty_and_their_means_0(client):
    holder = client.app.state.parts.holder
    holder.snapshot = all_removed(holder.snapshot)
    answer = preview(client, SALE, k=5)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["users"][0]["after"], shown["overlap"]) == ([], 0)
    assert set(shown["objective_scores"]["after"].values()) == {0.0}
