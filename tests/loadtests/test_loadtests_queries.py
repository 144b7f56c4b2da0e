"""The query mix and what counts as a right answer."""

import json

import pytest

from loadtests.freshness import Acknowledged
from loadtests.queries import K_SHARES, QueryMix, RecordsError, find_fault, read_records

STAGES = ("exposure", "click")
RECORDS = [{"user_id": f"u{n}", "hour": n, "age": 20 + n} for n in range(10)]


def queries(count, seed=1):
    mix = QueryMix(RECORDS, ("default", "feed"), STAGES, seed)
    return [mix.next(just_seen=("i1", "i2")) for _ in range(count)]


def test_equal_seeds_give_equal_queries_and_other_seeds_others():
    assert queries(50) == queries(50)
    assert queries(50) != queries(50, seed=2)


def test_the_mix_has_every_k_both_scenarios_and_warm_and_cold_users():
    asked = queries(500)
    known = {record["user_id"] for record in RECORDS}
    assert {query["k"] for query in asked} == set(K_SHARES)
    assert {query["scenario"] for query in asked} == {"default", "feed"}
    cold = [query for query in asked if query["user"]["user_id"] not in known]
    assert 50 < len(cold) < 150
    assert any(query["user"] in RECORDS for query in asked)
    for option in ("exclude", "objective_scores", "weights"):
        assert 0 < sum(option in query for query in asked) < 250


def test_weights_always_name_every_stage_and_are_never_all_zero():
    mix = QueryMix(RECORDS, ("default",), STAGES, seed=1)
    for weights in (mix.weights() for _ in range(200)):
        assert set(weights) == set(STAGES)
        assert min(weights.values()) >= 0
        assert max(weights.values()) > 0


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ({"item_ids": ["a", "b"], "scores": [2.0, 1.0]}, None),
        ({"items": []}, "no columns"),
        ({"item_ids": [], "scores": []}, "got 0 ids"),
        ({"item_ids": ["a", "b", "c"], "scores": [3.0, 2.0, 1.0]}, "got 3 ids"),
        ({"item_ids": ["a", "b"], "scores": [1.0]}, "1 scores"),
        ({"item_ids": ["a", "a"], "scores": [2.0, 1.0]}, "twice"),
        ({"item_ids": ["a", "b"], "scores": [1.0, 2.0]}, "best first"),
        ({"item_ids": ["a", "x"], "scores": [2.0, 1.0]}, "excluded"),
        ({"item_ids": ["a"], "scores": [2.0], "scenario": "default"}, "weights of default"),
    ],
)
def test_a_fault_of_an_answer_is_said_in_words(answer, fault):
    query = {"scenario": "feed", "k": 2, "exclude": ["x"]}
    found = find_fault(query, {"scenario": "feed", **answer})
    assert (found is None) if fault is None else (fault in found)


def test_objective_scores_that_were_asked_for_must_cover_every_item():
    answer = {"scenario": "feed", "item_ids": ["a", "b"], "scores": [2.0, 1.0]}
    query = {"scenario": "feed", "k": 2, "objective_scores": True}
    assert "missing" in find_fault(query, answer)
    assert "click" in find_fault(query, {**answer, "objective_scores": {"click": [1.0]}})
    assert find_fault(query, {**answer, "objective_scores": {"click": [1.0, 0.5]}}) is None


def test_records_come_from_the_golden_set_that_a_releases_directory_publishes(tmp_path):
    index = tmp_path / "run" / "index" / "build"
    index.mkdir(parents=True)
    (tmp_path / "CURRENT").write_text(json.dumps({"run_id": "run", "build_id": "build"}))
    (index / "golden.json").write_text(json.dumps({"cases": [{"user": r} for r in RECORDS]}))
    assert read_records(tmp_path) == RECORDS


def test_a_releases_directory_without_a_published_index_says_what_to_run(tmp_path):
    with pytest.raises(RecordsError, match="csmf-index --publish"):
        read_records(tmp_path)


@pytest.mark.parametrize("text", ["", "[1]\n", "{}\n", '{"user_id": "u1"}\n{half'])
def test_a_file_without_usable_records_is_refused(tmp_path, text):
    path = tmp_path / "records.jsonl"
    path.write_text(text)
    with pytest.raises(RecordsError, match=r"records\.jsonl: expected"):
        read_records(path)


def test_a_version_is_due_a_grace_after_its_acknowledgement_and_only_in_its_scenario():
    acknowledged = Acknowledged(grace_s=0.1)
    acknowledged.add("feed", version=3, at=10.0)
    acknowledged.add("feed", version=4, at=20.0)
    assert acknowledged.due("feed", sent_at=10.05) == 0
    assert acknowledged.due("feed", sent_at=10.2) == 3
    assert acknowledged.due("feed", sent_at=20.2) == 4
    assert acknowledged.due("default", sent_at=20.2) == 0
