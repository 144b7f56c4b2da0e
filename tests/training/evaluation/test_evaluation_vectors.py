"""Vectors and the lists they rank; models fused; lists merged."""

import numpy as np
import pytest

from bundle.segments import Segments
from bundle.weights import ObjectiveWeights
from training.evaluation.choice import weight_grid
from training.evaluation.lists import merge_lists
from training.evaluation.metrics import Relevant
from training.evaluation.vectors import Vectors, alone_weights, join

STAGES = ("click", "conversion")
WEIGHTS = ObjectiveWeights.parse({"click": 1.0, "conversion": 0.5}, STAGES)


def random_vectors(seed, dim=8):
    rng = np.random.default_rng(seed)
    users_QM, items_NM = rng.normal(size=(300, dim)), rng.normal(size=(70, dim))
    return Vectors(Segments(STAGES, (5, dim - 5)), users_QM.astype("f"), items_NM.astype("f"))


def model(name, seed, dim=8):
    vectors = random_vectors(seed, dim)
    return Vectors(Segments((name,), (dim,)), vectors.users_QM, vectors.items_NM)


def random_positives(seed):
    return Relevant(*np.nonzero(np.random.default_rng(seed).random((300, 70)) < 0.1))


@pytest.mark.parametrize("k", [1, 10, 70, 500])
def test_what_is_found_is_what_stands_in_the_list(k, monkeypatch):
    monkeypatch.setattr("training.evaluation.vectors.LOOK_SCORES", 70 * 20)  # blocks of 20
    vectors, wanted = random_vectors(0), [random_positives(1), random_positives(2)]
    grid = weight_grid(STAGES, 4)
    found = vectors.finds(grid, k, wanted)
    for row, weights in enumerate(grid):
        ranked_QK = vectors.rank(weights, k)
        for relevant, found_LP in zip(wanted, found, strict=True):
            np.testing.assert_array_equal(found_LP[row], relevant.places(ranked_QK) < k)


def test_of_equal_items_as_many_are_found_as_the_list_has_room_for():
    items_NM = np.ones((70, 8), np.float32)
    vectors = Vectors(Segments(STAGES, (5, 3)), np.ones((2, 8), np.float32), items_NM)
    everything = Relevant(np.repeat([0, 1], 70), np.tile(np.arange(70), 2))
    (found_LP,) = vectors.finds([WEIGHTS], 10, [everything])
    np.testing.assert_array_equal(found_LP[0], np.tile(np.arange(70) < 10, 2))


def test_no_queries_have_no_lists():
    vectors = random_vectors(0)
    nobody = Vectors(vectors.segments, vectors.users_QM[:0], vectors.items_NM)
    assert nobody.rank(WEIGHTS, 10).shape == (0, 10)


def test_joined_models_score_the_weighted_sum_of_their_scores():
    one, two = model("one", 3, dim=8), model("two", 4, dim=12)
    joined = join([one, two])
    weights = ObjectiveWeights.parse({"one": 1.5, "two": 0.5}, ("one", "two"))
    scores_QN = 2.0 * one.users_QM @ one.items_NM.T + 0.5 * two.users_QM @ two.items_NM.T
    expected_QK = np.argsort(-scores_QN, axis=1)[:, :5]
    np.testing.assert_array_equal(joined.rank(weights, 5), expected_QK)
    assert joined.items_NM.shape[1] == 20


def test_joined_models_that_share_their_items_rank_as_the_sum_of_their_user_vectors():
    one, two = model("one", 3), model("two", 4)
    joined = join([one, Vectors(two.segments, two.users_QM, one.items_NM)])
    weights = ObjectiveWeights.parse({"one": 1.0, "two": 1.0}, ("one", "two"))
    summed = Vectors(one.segments, 2 * one.users_QM + two.users_QM, one.items_NM)
    np.testing.assert_array_equal(
        joined.rank(weights, 10), summed.rank(alone_weights("one", ["one"]), 10)
    )


def test_models_with_segments_of_their_own_are_not_joined():
    with pytest.raises(ValueError, match="one segment each"):
        join([random_vectors(0), model("two", 1)])


def test_a_merged_list_has_its_share_of_the_first_and_nothing_twice():
    first_QK, second_QK = np.array([[1, 2, 3, 4]]), np.array([[2, 5, 1, 6]])
    assert merge_lists(first_QK, second_QK, 0.5).tolist() == [[1, 2, 5, 6]]
    assert merge_lists(first_QK, second_QK, 0.0).tolist() == [[2, 5, 1, 6]]
    assert merge_lists(first_QK, second_QK, 1.0).tolist() == [[1, 2, 3, 4]]
