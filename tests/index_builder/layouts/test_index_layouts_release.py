"""The comparison of layouts over the vectors of a release: whose they are, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.release import add_exact_index, make_release

from bundle.scoring import scale_query
from bundle.segments import Segments
from index_builder.layouts.__main__ import main
from index_builder.layouts.measure import layouts_of
from index_builder.layouts.release import draw_from_release

FEW = ["--users", "20", "--rounds", "2", "--k", "50", "--probes", "16"]
ITEMS = 6000


@pytest.fixture(scope="module")
def drawn(ivf_index, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("drawn")
    return draw_from_release(ivf_index.directory, ITEMS, 40, scratch, np.random.default_rng(0))


def queries(drawn, name):
    (layout,) = (layout for layout in layouts_of(drawn) if layout.name == name)
    return layout.queries(drawn.asking_UKM[0])


def test_the_table_says_whose_vectors_it_compares(ivf_index, tmp_path):
    index = str(ivf_index.directory)
    assert main(["--index", index, "--items", str(ITEMS), *FEW, "--out", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "table4.json").read_text())
    page = (tmp_path / "table4.md").read_text()
    assert document["vectors"] == "tiny"
    assert "Items are the 4,000 of the release `tiny` and others like them" in page
    assert f"--index releases/tiny/index/{ivf_index.directory.name} --items {ITEMS}" in page
    assert str(Path(index).parent) not in page
    assert [row["bytes_ratio"] for row in document["layouts"][2:]] == [1, 1]


def test_csmf_asks_with_the_releases_segments_and_default_weights(drawn, catalogue_release):
    bundle = catalogue_release.bundle
    expected = scale_query(queries(drawn, "MOPPR"), np.ones(3), bundle.segments)
    np.testing.assert_array_equal(queries(drawn, "CSMF"), expected)
    assert drawn.weights_S.tolist() == [1, 1, 1]  # the defaults of its manifest


def test_the_other_layouts_ask_for_objectives_of_the_same_user(drawn):
    (user_M,), (last_M, middle_M) = queries(drawn, "MOPPR"), queries(drawn, "DMMP")
    np.testing.assert_array_equal(last_M, user_M)
    np.testing.assert_array_equal(middle_M, np.where(np.arange(16) < 11, user_M, 0))
    assert queries(drawn, "MVKE").shape == (1, 4 * 16)


def test_users_who_ask_shape_no_cells_and_are_at_most_half_of_the_sample(drawn, ivf_index):
    shaping, asking = (
        {user.tobytes() for user in users[:, 0]} for users in (drawn.shaping_UKM, drawn.asking_UKM)
    )
    sample = {user.tobytes() for user in ivf_index.calibration_users_CM}
    assert shaping | asking <= sample
    assert not shaping & asking
    assert len(drawn.asking_UKM) == 40


def test_gates_are_those_of_the_items_topic(drawn):
    squares_N = np.square(drawn.items_NM).sum(axis=1)
    copies_NKM = drawn.gated_NX.reshape(ITEMS, 4, 16)
    gates_NK = (copies_NKM * drawn.items_NM[:, None]).sum(axis=2) / squares_N[:, None]
    np.testing.assert_allclose(gates_NK.sum(axis=1), 1, rtol=1e-4)
    assert len(np.unique(gates_NK.round(4), axis=0)) <= 70  # √4000 topics, and rounding


def test_a_release_without_a_cascade_is_refused(tmp_path, capsys):
    release = make_release(tmp_path, segments=Segments(("click",), (16,)))
    index = add_exact_index(release)
    options = ["--index", str(index.directory), *FEW, "--out", str(tmp_path / "out")]
    assert main(options) == 2
    assert "segments: one, 'click'; weights do nothing to one segment" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_no_index_is_refused(tmp_path, capsys):
    assert main(["--index", str(tmp_path), *FEW, "--out", str(tmp_path / "out")]) == 2
    assert "bundle.json" in capsys.readouterr().err
