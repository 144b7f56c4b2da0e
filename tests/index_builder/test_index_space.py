"""The space of scores, and the codes that are bought in it."""

from dataclasses import replace

import faiss
import numpy as np
import pytest

from bundle.codes import inverted_in
from bundle.scoring import exact_top_k
from index_builder.calibrate import recall_by_score
from index_builder.cells import fill_cells, train_centroids, visiting
from index_builder.codes import ERROR, EVEN, LEFT, codes_of_dims
from index_builder.progress import Progress
from index_builder.space import score_space, space_as_it_is

COUNT, DIM, ASKED = 20_000, 32, 6


@pytest.fixture(scope="module")
def items_NM():
    """Correlated vectors, far from zero, of which one dim never varies."""
    rng = np.random.default_rng(0)
    items_NM = rng.normal(size=(COUNT, DIM)) @ rng.normal(size=(DIM, DIM)) + 20
    items_NM[:, 3] = 7
    return items_NM.astype(np.float32)


@pytest.fixture(scope="module")
def queries():
    """Users who look in six directions, under two weightings that scale these."""
    rng = np.random.default_rng(1)
    looks_AM = rng.normal(size=(ASKED, DIM))
    users_UA = rng.normal(size=(400, ASKED))
    first_UM, second_UM = users_UA @ looks_AM, (users_UA * [1, 1, 1, 0.1, 0.1, 0]) @ looks_AM
    return [first_UM.astype(np.float32), second_UM.astype(np.float32)]


@pytest.fixture(scope="module")
def space(items_NM, queries):
    return score_space(items_NM, queries)


def test_scores_are_the_same_in_it(items_NM, queries, space):
    items_NM = items_NM[:100] - items_NM.mean(axis=0)  # a number for all items ranks nothing
    for queries_UM in queries:
        scores_UN = (queries_UM @ space.queries_DM.T) @ (items_NM @ space.items_DM.T).T
        expected_UN = queries_UM @ items_NM.T
        np.testing.assert_allclose(scores_UN, expected_UN, atol=2e-3 * expected_UN.std())


def test_items_vary_alike_and_without_correlation_where_queries_look(items_NM, space):
    seen_ND = (items_NM @ space.items_DM.T)[:, :ASKED]
    np.testing.assert_allclose(np.cov(seen_ND.T), np.eye(ASKED), atol=0.05)


def test_only_the_directions_that_queries_look_in_are_worth_anything(space):
    first_D, second_D = space.shares_GD
    np.testing.assert_allclose(space.shares_GD.sum(axis=1), 1)
    assert first_D[:ASKED].sum() == pytest.approx(1, abs=1e-6)
    assert second_D.max() > first_D.max()
    assert space.shaped(np.zeros((1, DIM), np.float32)).shape == (1, ASKED)


def test_what_users_who_chose_nothing_ask_for_is_worth_something(items_NM, queries):
    odd_UM = queries[0].copy()
    odd_UM[1::2] += 5 * np.random.default_rng(2).normal(size=odd_UM[1::2].shape)
    shares_D = score_space(items_NM, [odd_UM]).shares_GD[0]
    assert shares_D[ASKED:].sum() > 0.1
    assert len(np.flatnonzero(codes_of_dims(shares_D[None]))) > 2 * ASKED


@pytest.mark.parametrize("users", [0, 1, 31])
def test_few_users_leave_it_as_it_is(items_NM, queries, users):
    few = [queries_UM[:users] for queries_UM in queries]
    assert np.array_equal(score_space(items_NM, few).items_DM, np.eye(DIM))


def test_users_whose_vectors_are_zero_leave_it_as_it_is(items_NM, queries):
    nobody = [np.zeros_like(queries_UM) for queries_UM in queries]
    assert np.array_equal(score_space(items_NM, nobody).shaped(items_NM[:5]), items_NM[:5])


def test_wanted_is_what_is_among_the_best_of_those_who_ask(items_NM, queries, space):
    wanted_N = space.wanted(items_NM)
    assert wanted_N.mean() == pytest.approx(1)
    asked_QM = np.concatenate([queries[0][::2], queries[1][1::2]])
    np.testing.assert_array_equal(space.asking_QM, asked_QM)
    _, best_QK = exact_top_k(asked_QM, items_NM, COUNT // 200)
    best_N = (asked_QM @ items_NM.T >= best_QK[:, -1:]).any(axis=0)
    assert best_N.sum() == np.count_nonzero(wanted_N)


def test_nothing_is_wanted_where_nobody_asks(items_NM):
    assert not space_as_it_is(DIM).wanted(items_NM).any()


def test_what_many_look_for_has_small_cells(items_NM, space):
    wanted_N = space.wanted(items_NM)
    sizes = [
        sizes_of_cells(items_NM, each)[wanted_N > np.quantile(wanted_N, 0.99)].mean()
        for each in (space, replace(space, asking_QM=space.asking_QM[:0]))
    ]
    assert sizes[0] < 0.5 * sizes[1]


def sizes_of_cells(items_NM, space):
    """Of each item's cell, how many it holds."""
    inverted = filled(items_NM, space)
    return inverted.sizes_C[inverted.cells_N]


def error(shares_GD, codes_D):
    return (shares_GD * np.array(LEFT)[codes_D]).sum(axis=1).max()


@pytest.mark.parametrize("decay", [0.4, 0.5, 0.6])
def test_codes_are_bought_until_little_of_any_weightings_scores_is_lost(decay):
    shares_D = decay ** np.arange(DIM)
    shares_GD = np.stack([shares_D, np.roll(shares_D, 3)])
    shares_GD /= shares_GD.sum(axis=1, keepdims=True)
    codes_D = codes_of_dims(shares_GD)
    assert error(shares_GD, codes_D) <= ERROR
    assert codes_D.sum() % EVEN == 0
    assert codes_D.sum() < DIM
    without_D = codes_D.copy()
    without_D[np.flatnonzero(codes_D)[:3]] -= 1
    assert error(shares_GD, without_D) > ERROR


@pytest.mark.parametrize(("dims", "codes"), [(1, 2), (2, 3), (7, 11), (64, 96)])
def test_where_all_dims_are_worth_the_same_codes_have_an_end(dims, codes):
    codes_D = codes_of_dims(np.full((1, dims), 1 / dims))
    assert codes_D.sum() == codes
    assert codes_D.min() >= 1


def test_four_bits_find_the_best_in_few_bytes(items_NM, queries, space):
    inverted = filled(items_NM, space)
    codes = inverted_in(inverted.faiss_index).pq.M
    assert codes == 2 * EVEN < 3 * ASKED
    for queries_UM in queries:
        asked_BM = queries_UM[:40]
        _, exact_BK = exact_top_k(asked_BM, items_NM, 50)
        found_BK = inverted.search(asked_BM, 50, inverted.cells)
        assert recall_by_score(found_BK, exact_BK, asked_BM, items_NM) > 0.99


@pytest.mark.parametrize("sign", [1, -1])
def test_no_score_is_far_off_however_far_an_item_lies_from_its_cell(items_NM, space, sign):
    """What lies farthest is what some users look for, and too few for a sample to tell."""
    query_1M, far = sign * space.items_DM[:1], [0, 8000, 16_000]
    far_NM, step_M = items_NM.copy(), np.linalg.pinv(space.items_DM)[:, 0]
    far_NM[far] += sign * np.array([[4], [6], [8]]) * step_M
    inverted = filled(far_NM, space, shaped_by=items_NM)
    found = inverted.faiss_index.search(query_1M, 1000, params=visiting(inverted.cells))
    off_K = found[0][0] - far_NM[found[1][0]] @ query_1M[0]
    assert set(far) < set(found[1][0])
    assert np.abs(off_K - np.median(off_K)).max() < 0.06


def test_cells_are_ranked_as_searches_rank_them(items_NM, queries, space):
    """Calibration counts by means_CM which cells a search visits."""
    inverted = filled(items_NM, space)
    stored = inverted_in(inverted.faiss_index)
    for query_M in queries[1][:5]:
        coordinates_1D = query_M[None] @ space_of(inverted).T
        visited = stored.quantizer.search(np.ascontiguousarray(coordinates_1D), 8)[1][0]
        assert visited.tolist() == np.argsort(-(inverted.means_CM @ query_M))[:8].tolist()


def space_of(inverted):
    """The queries' coordinates of an index of four bits."""
    chain = faiss.downcast_VectorTransform(inverted.faiss_index.chain.at(0))
    return faiss.vector_to_array(chain.A).reshape(chain.d_out, chain.d_in)


def filled(items_NM, space, shaped_by=None):
    centroids_CD = train_centroids(items_NM if shaped_by is None else shaped_by, space, 0, "int4")
    progress = Progress("fill", "items", 2 * COUNT)
    return fill_cells(items_NM, space, centroids_CD, progress, codes="int4")


def test_as_it_is_every_dim_is_alike():
    space = space_as_it_is(4)
    items_BM = np.arange(8, dtype=np.float32).reshape(2, 4)
    assert np.array_equal(space.shaped(items_BM), items_BM)
