"""What is searched and asked: groups with nobody in common, tails as they are described."""

import numpy as np
import pytest
from support.release import add_exact_index, make_release

from bundle.segments import Segments
from index_builder.bench.promise import off_grid
from index_builder.bench.questions import ask
from index_builder.bench.vectors import from_generator, from_release
from index_builder.errors import InputError
from index_builder.grid import weight_directions


def people(drawn):
    given = drawn.given
    groups = (given.shaping_UM, given.calibrating_UM, drawn.asking_UM, drawn.fresh_UM)
    return [{user.tobytes() for user in group} for group in groups]


def test_the_four_groups_of_users_have_nobody_in_common(ivf_index, catalogue_release, tmp_path):
    rng = np.random.default_rng(0)
    drawn = from_release(catalogue_release.bundle, ivf_index, 5000, 30, tmp_path, rng)
    groups = people(drawn)
    assert len(set.union(*groups)) == sum(map(len, groups))
    sample = {user.tobytes() for user in ivf_index.calibration_users_CM}
    assert set.union(*groups) <= sample
    assert len(groups[2]) == 30


def test_items_are_the_releases_and_more_like_them(ivf_index, catalogue_release, tmp_path):
    rng = np.random.default_rng(0)
    drawn = from_release(catalogue_release.bundle, ivf_index, 5000, 30, tmp_path, rng)
    items_NM = drawn.given.read_items()
    originals = len(ivf_index.item_vectors_NM)
    np.testing.assert_array_equal(items_NM[:originals], ivf_index.item_vectors_NM)
    assert len(items_NM) == 5000


def test_lengths_of_the_synthetic_items_have_a_heavy_tail(tmp_path):
    drawn = from_generator(50_000, 8, tmp_path, np.random.default_rng(0))
    lengths_N = np.linalg.norm(drawn.given.read_items(), axis=1)
    assert lengths_N.max() > 6 * np.median(lengths_N)


def test_a_release_without_a_cascade_is_refused(tmp_path):
    release = make_release(tmp_path, segments=Segments(("click",), (16,)))
    index = add_exact_index(release)
    with pytest.raises(InputError, match="weights do nothing to one segment"):
        from_release(release.bundle, index, 100, 8, tmp_path, np.random.default_rng(0))


def test_exact_rows_have_recall_one_and_others_none(tmp_path):
    drawn = from_generator(3000, 5, tmp_path, np.random.default_rng(0))
    questions = ask(drawn.given, drawn.asking_UM, weight_directions(3), (10, 20))
    for direction in (0, 14):
        scores_UN = questions.queries_QM[questions.of(direction)] @ questions.items_NM.T
        order_UN = np.argsort(-scores_UN, axis=1)
        assert questions.recall(direction, order_UN[:, :10]) == 1
        assert questions.recall(direction, order_UN[:, 20:30]) == 0


def test_timed_queries_are_spread_over_all_directions_and_users(tmp_path):
    drawn = from_generator(3000, 5, tmp_path, np.random.default_rng(0))
    questions = ask(drawn.given, drawn.asking_UM, weight_directions(3), (10,))
    places = questions.mixed(30)
    assert sorted(places[:15] // 5) == list(range(15))
    assert set(places % 5) == set(range(5))


def test_weights_off_the_grid_are_valid_and_hold_all_orders_of_the_extremes():
    weights_GS = off_grid(3)
    assert (
        (weights_GS[-12:] == 0).sum(axis=0) > 0
    ).sum() > 1  # zeros are not of one objective alone
    assert (weights_GS >= 0).all()
    assert weights_GS.any(axis=1).all()
    assert [100.0, 1.0, 0.01] in weights_GS.round(6).tolist()
    assert [0.01, 1.0, 100.0] in weights_GS.round(6).tolist()
    assert (weights_GS == 0).any(axis=1).sum() >= 4
    grid = {tuple(each) for each in weight_directions(3).round(6)}
    assert not grid & {tuple(each / each.sum()) for each in weights_GS.round(6)}
