"""The benchmark of the HTTP path runs, and its page says what its figures say."""

import json

import pytest
from support.release import add_exact_index, make_release

from bundle.store import publish
from loadtests.over_http.__main__ import main
from loadtests.over_http.page import FIGURES, ONCE, ROWS, page

DOCUMENT = {
    "command": "python -m loadtests.over_http",
    "began": "2026-11-21T15:13:37+00:00",
    "commit": "abc1234",
    "machine": {"cores": 2, "load_average": 6.4, "python": "3.11.7"},
    "figures": {"items": 1000},
    "thresholds": [],
}


def test_the_committed_page_is_the_one_that_its_figures_give():
    written = FIGURES.with_suffix(".md").read_text()
    assert page(json.loads(FIGURES.read_text())) == written, (
        "run: python -m loadtests.over_http.page"
    )


def test_a_page_says_so_when_the_machine_was_shared():
    figures = {"items": 1000, **dict.fromkeys(ONCE, 5.0)}
    for load, said in ((1.9, False), (2.1, True)):
        machine = {**DOCUMENT["machine"], "load_average": load}
        text = page({**DOCUMENT, "figures": figures, "machine": machine})
        assert ("Other programs wanted the cores" in text) == said


def test_a_figure_that_missed_its_goal_is_bold_in_the_page(tmp_path):
    figures = {"items": 1000, **dict.fromkeys(ONCE, 5.0)}
    figures |= {f"k{k}_{name}": k / 100 for k in (50, 500) for name in ROWS}
    goals = [
        {"figure": "k50_p50_ratio", "bound": "≤ 1.3", "met": True},
        {"figure": "k500_p50_ratio", "bound": "≤ 1.3", "met": False},
    ]
    text = page({**DOCUMENT, "figures": figures, "thresholds": goals})
    assert "| 0.5 | **5** | ≤ 1.3 |" in text
    assert "commit abc1234, 2 cores, load average 6.4" in text


@pytest.mark.slow
def test_both_sides_answer_and_every_figure_is_written(tmp_path):
    made = make_release(tmp_path / "made")
    add_exact_index(made)
    publish(made.releases, made.run_id, "b1")
    short = ["--rounds", "1", "--turn", "0.2", "--load", "1.5", "--changes", "2", "--k", "20"]
    places = ["--releases", str(made.releases), "--work", str(tmp_path), "--out", str(tmp_path)]
    assert main([*short, *places]) in {0, 1}  # no verdict on a machine that is shared
    document = json.loads((tmp_path / "http.json").read_text())
    figures = document["figures"]
    assert {each["figure"] for each in document["thresholds"]} < set(figures)
    assert figures["items"] == 300
    assert figures["k20_load70_failed"] == 0
    assert min(value for name, value in figures.items() if name.startswith("k20_in")) > 0
    assert page(document) == (tmp_path / "http.md").read_text()
