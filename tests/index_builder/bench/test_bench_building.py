"""The measurement of a build, on a small release; and its page holds what its figures say."""

import json
from pathlib import Path

import pytest
from support.release import make_release

from bundle.store import publish
from index_builder.bench import building
from index_builder.bench.building_page import GOALS, NAME, met, page, ratios
from index_builder.build import build_index
from index_builder.settings import BuildSettings

RESULTS = Path(__file__).parents[3] / "docs" / "results"
STEP = {"seconds": 1.0, "processor_s": 1.0}


def test_steps_are_timed_beside_those_of_the_libraries(tmp_path, capsys):
    release = make_release(tmp_path, items=600)
    report = build_index(release.directory, release.log, BuildSettings(users=64))
    publish(release.releases, release.run_id, report.manifest.build_id)
    where = ["--releases", str(release.releases), "--log", str(release.log)]
    size = ["--items", "2000", "--encoded", "1000", "--out", str(tmp_path)]
    assert building.main([*where, *size]) in (0, 1)
    written = json.loads((tmp_path / f"{NAME}.json").read_text())
    found = ratios(written["steps"], "seconds", written)
    assert 0 < found["effort_map"] < 1
    assert min(found.values()) > 0
    assert page(written) == (tmp_path / f"{NAME}.md").read_text() == capsys.readouterr().out


def test_ratios_are_of_equal_numbers_of_items():
    names = ("encode", "encode_bare", "kmeans", "fill", "effort_map", "seal")
    steps = dict.fromkeys((*names, "faiss_kmeans", "faiss_add"), STEP)
    found = ratios(steps, "seconds", {"items": 400, "encoded": 100})
    assert found == {"encoding": 1, "index": 2, "effort_map": pytest.approx(1 / 8)}
    assert [met(goal, found) for goal in GOALS] == [True, False, True]


def test_the_page_of_results_is_what_its_figures_say():
    written = json.loads((RESULTS / f"{NAME}.json").read_text())
    assert page(written) == (RESULTS / f"{NAME}.md").read_text()
