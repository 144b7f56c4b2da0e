"""Filters and changes asked of a real service, in small; and what would be wrong is noticed."""

import json

import numpy as np
import pytest

from loadtests.reliability import catalogue, filters
from loadtests.reliability.__main__ import main
from loadtests.reliability.filters import Truth


@pytest.mark.slow
def test_changes_reach_a_running_service_and_stay(tmp_path, capsys):
    flags = ["--items", "400", "--rounds", "2", "--rows", "60", "--workers", "1"]
    assert main(["catalogue", *flags, "--out", str(tmp_path)]) == 0
    assert "MISSED" not in capsys.readouterr().out
    figures = json.loads((tmp_path / "catalogue.json").read_text())["figures"]
    assert figures["requests"] > 20
    assert figures["new_items_that_belong_into_lists"] > 0


def test_an_answer_that_has_a_change_and_the_item_it_removed_is_wrong(monkeypatch):
    answers = iter(
        [
            {"catalogue_position": 1, "item_ids": ["a", "b"]},
            {"catalogue_position": 2, "item_ids": ["a", "b"]},
            {"catalogue_position": 3, "item_ids": ["b"]},
        ]
    )
    monkeypatch.setattr(catalogue, "ask", lambda *_, **__: next(answers))
    asked = catalogue.Asked(users=[{}], removed={2: {"a"}})
    for _ in range(3):
        asked.ask(service=None)
    assert (asked.requests, asked.wrong, asked.failed) == (3, 1, 0)


@pytest.mark.slow
def test_filtered_lists_of_a_running_service_reach_the_recall(tmp_path, capsys):
    flags = ["--items", "3000", "--work", str(tmp_path), "--out", str(tmp_path)]
    assert main(["filters", *flags]) == 0
    assert "MISSED" not in capsys.readouterr().out
    figures = json.loads((tmp_path / "filters.json").read_text())["figures"]
    assert sum(name.startswith("recall_") for name in figures) == len(filters.CASES) == 20


@pytest.mark.parametrize(
    ("scores", "recall"),
    [([9.0, 7.0], 1.0), ([9.0, 6.9999], 1.0), ([9.0, 5.0], 0.5), ([], 0.0), ([4.0, 3.0], 0.0)],
)
def test_recall_counts_scores_that_belong_into_the_exact_list_of_those_that_pass(scores, recall):
    truth = Truth(np.array([2, 0, 1, 3]), np.array([9.0, 8.0, 7.0, 5.0]))
    passes_N = np.array([False, True, True, True])
    assert truth.recall(passes_N, np.array(scores), k=2) == recall
