"""What the comparison of layouts promises: the layouts it names, fair lists, both files."""

import json
from pathlib import Path

import numpy as np
import pytest

from index_builder.layouts.__main__ import main
from index_builder.layouts.measure import found_share, merge
from index_builder.layouts.synthetic import draw_synthetic

ITEMS = 3000
FEW = ["--users", "20", "--rounds", "3", "--k", "50", "--probes", "64"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("layouts")
    assert main(["--items", str(ITEMS), *FEW, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def costs(table: Path) -> dict[str, dict[str, float]]:
    rows = json.loads((table / "table4.json").read_text())["layouts"]
    return {row["name"]: row for row in rows}


def test_only_joined_kernels_need_a_larger_index(costs):
    ratios = {name: row["bytes_ratio"] for name, row in costs.items()}
    assert ratios == {"MOPPR": 1, "MVKE": pytest.approx(3.8, abs=0.2), "DMMP": 1, "CSMF": 1}


def test_every_layout_finds_most_of_its_own_exact_list(costs):
    assert min(row["recall"] for row in costs.values()) > 0.9


def test_the_single_vector_is_what_the_others_are_compared_with(costs):
    assert costs["MOPPR"]["time_ratio"] == 1
    assert min(row["milliseconds"] for row in costs.values()) > 0


def test_the_page_has_a_row_a_layout_and_the_papers_figure(table):
    page = (table / "table4.md").read_text()
    names = [line.split("|")[1].strip() for line in page.splitlines()[4:8]]
    assert names == ["MOPPR", "MVKE", "DMMP", "CSMF"]
    assert "| +299 % |" in page


def test_merging_two_lists_keeps_an_items_better_score():
    scores = np.array([[9.0, 5.0, 1.0], [8.0, 7.0, 6.0]], np.float32)
    rows = np.array([[1, 2, 3], [3, 1, 4]])
    assert merge(scores, rows).tolist() == [1, 3, 4]


def test_an_item_is_found_by_its_better_score_and_equal_items_are_as_good():
    items = np.array([[2, 0], [0, 2], [2, 0], [1, 0]], np.float32)
    queries, exact = np.eye(2, dtype=np.float32), np.array([0, 1])
    assert found_share(items, queries, exact, np.array([1, 2])) == 1
    assert found_share(items, queries, exact, np.array([3, 2])) == 0.5
    assert found_share(items, queries, exact, np.array([2, -1])) == 0.5


def test_a_gated_item_scores_as_its_kernels_do_under_their_gates(tmp_path):
    drawn = draw_synthetic(ITEMS, 1, tmp_path, np.random.default_rng(0))
    items_NM, gated_NX, [user_KM] = drawn.items_NM, drawn.gated_NX, drawn.asking_UKM

    gates_NK = gated_NX.reshape(ITEMS, 4, 64) @ items_NM[:, :, None]
    gates_NK = gates_NK[:, :, 0] / np.square(items_NM).sum(axis=1, keepdims=True)
    expected_N = (gates_NK * (items_NM @ user_KM.T)).sum(axis=1)
    np.testing.assert_allclose(gates_NK.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(gated_NX @ user_KM.ravel(), expected_N, rtol=1e-4, atol=1e-5)


def test_a_size_below_one_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--items", "0", "--out", str(tmp_path)])
    assert "expected a number above 0, got 0" in capsys.readouterr().err
