"""The measurement of starts, on a small pair; and its page holds what its figures say."""

import json
from pathlib import Path

import pytest
from support.release import add_exact_index, make_release

from bundle.store import publish
from loadtests import starting

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def test_a_start_is_timed_and_memory_is_counted(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(starting, "WORKERS", 1)
    monkeypatch.setattr(starting, "REQUESTS", 5)
    release = make_release(tmp_path)
    add_exact_index(release)
    publish(release.releases, release.run_id, "b1")
    command = ["--releases", str(release.releases), "--rounds", "1", "--out", str(tmp_path / "new")]
    assert starting.main(command) in (0, 1), capsys.readouterr().err
    written = json.loads((tmp_path / "new" / "starting.json").read_text())
    figures = written["figures"]
    assert 0 < figures["again_cpu_s"] <= figures["cold_s"] * 2
    assert figures["worker_mib"] == pytest.approx(figures["bare_mib"] + figures["beyond_mib"])
    assert figures["beyond_mib"] < 60
    assert starting.page(written) == (tmp_path / "new" / "starting.md").read_text()


def test_a_folder_without_a_published_pair_is_said_to_be_so(tmp_path, capsys):
    assert starting.main(["--releases", str(tmp_path)]) == 2
    assert "--releases: expected a published pair" in capsys.readouterr().err


@pytest.mark.parametrize("items", [1_000_000, 4_000_000])
def test_a_slow_start_and_a_greedy_worker_miss_their_goals(items):
    slow = {"cold_s": 3.1, "beyond_mib": 61.0}
    assert [v.met for v in starting.judge({"starting": slow}, starting.thresholds(items))] == [
        False,
        False,
    ]


def test_the_page_of_results_is_what_its_figures_say():
    written = json.loads((RESULTS / "starting.json").read_text())
    assert starting.page(written) == (RESULTS / "starting.md").read_text()
