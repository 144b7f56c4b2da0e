"""Enlarged catalogues: what they keep of the original, measured on a small trained-like one."""

import numpy as np
import pytest

from bundle.scoring import exact_top_k
from index_builder.cells import fill_cells, train_centroids
from index_builder.enlarge import draw, enlarge, near
from index_builder.errors import InputError
from index_builder.progress import Progress
from index_builder.space import space_as_it_is

QUANTILES = (0.1, 0.5, 0.9)


@pytest.fixture(scope="module")
def originals(ivf_index):
    return np.array(ivf_index.item_vectors_NM)


@pytest.fixture(scope="module")
def regrown(originals, tmp_path_factory):
    """A tenth of the catalogue, enlarged to its size."""
    rng = np.random.default_rng(0)
    tenth = originals[rng.choice(len(originals), len(originals) // 10, replace=False)]
    return enlarge(tenth, len(originals), tmp_path_factory.mktemp("e") / "items.npy", rng)


def lengths(items_NM):
    return np.quantile(np.linalg.norm(items_NM, axis=1), QUANTILES)


def cells_for_recall(items_NM, users_UM):
    """The cells that hold 95 % of the exact lists of 100."""
    space = space_as_it_is(items_NM.shape[1])
    progress = Progress("fill", "items", 2 * len(items_NM))
    inverted = fill_cells(items_NM, space, train_centroids(items_NM, space, 0), progress)
    rows_UK, _ = exact_top_k(users_UM, items_NM, 100)
    rank_UC = np.argsort(np.argsort(-(users_UM @ inverted.means_CM.T), axis=1), axis=1)
    depth_UK = np.take_along_axis(rank_UC, inverted.cells_N[rows_UK].astype(int), axis=1)
    return np.quantile(depth_UK, 0.95) + 1


def test_a_tenth_of_a_catalogue_enlarged_to_its_size_has_its_lengths(originals, regrown):
    np.testing.assert_allclose(lengths(regrown), lengths(originals), rtol=0.05)


def test_and_the_lengths_of_its_segments(originals, regrown, catalogue_release):
    for part in catalogue_release.bundle.segments.slices:
        found, expected = (np.linalg.norm(each[:, part], axis=1) for each in (regrown, originals))
        assert found.mean() == pytest.approx(expected.mean(), rel=0.05)


def test_and_is_searched_as_hard(originals, regrown, ivf_index):
    users_UM = np.array(ivf_index.calibration_users_CM)
    found, expected = (cells_for_recall(each, users_UM) for each in (regrown, originals))
    assert found == pytest.approx(expected, rel=0.25)


def test_the_catalogue_itself_comes_first_and_nothing_follows_twice(originals, tmp_path):
    items_NM = enlarge(originals, 5000, tmp_path / "items.npy", np.random.default_rng(1))
    np.testing.assert_array_equal(items_NM[: len(originals)], originals)
    assert len(np.unique(items_NM, axis=0)) == 5000


def test_fewer_items_are_some_of_the_catalogue(originals, tmp_path):
    items_NM = enlarge(originals, 50, tmp_path / "items.npy", np.random.default_rng(1))
    known = {item.tobytes() for item in originals}
    assert len({item.tobytes() for item in items_NM} & known) == 50


def test_neighbours_are_the_nearest_items(originals):
    near_OK = near(originals)
    distances = np.linalg.norm(originals[:, None] - originals[near_OK], axis=2)
    apart = np.linalg.norm(originals - originals[::-1], axis=1)
    assert distances[:, 0].mean() < distances[:, -1].mean() < 0.7 * apart.mean()
    assert not (near_OK == np.arange(len(originals))[:, None]).any()


def test_an_item_is_as_long_as_one_of_the_catalogue(originals):
    drawn = draw(originals, near(originals), 300, np.random.default_rng(2))
    lengths_B, lengths_O = (np.linalg.norm(each, axis=1) for each in (drawn, originals))
    assert np.abs(lengths_B[:, None] - lengths_O).min(axis=1).max() < 1e-5


def test_too_few_items_to_know_what_they_are_like_are_refused(originals, tmp_path):
    with pytest.raises(InputError, match="2 items; an item is drawn from three"):
        enlarge(originals[:2], 10, tmp_path / "items.npy", np.random.default_rng(0))
