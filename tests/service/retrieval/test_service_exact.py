"""The exact scores that a search is judged by: those of all it may find, and of nothing else."""

import numpy as np
import pytest
from support.release import add_delta, add_exact_index, make_release

from bundle.delta import read_delta
from service.retrieval import exact
from service.retrieval.exact import exact_scores
from service.retrieval.filters import Condition
from service.retrieval.fresh import with_delta
from service.retrieval.index import open_index

NOTHING = np.empty(0, np.int64)
UPDATED, REMOVED = [3, 50, 299], [0, 7, 120]
NEAR = Condition("price", most=30.0)


@pytest.fixture(scope="module", params=["index", "with a delta"])
def index(request, tmp_path_factory):
    made = make_release(tmp_path_factory.mktemp("exact"), requests=20)
    files = add_exact_index(made, attributes=True)
    if request.param == "index":
        return open_index(files)
    add_delta(files, 1, UPDATED, REMOVED)
    return with_delta(open_index(files), read_delta(files, 1))


@pytest.fixture
def best(index, monkeypatch):
    """A function: exact scores by blocks, and the same from the items by their ids."""
    monkeypatch.setattr(exact, "BLOCK", 64)

    def both(k, excluded=(), conditions=()):
        query_M = np.random.default_rng(5).normal(size=index.vectors_of(np.array([0])).shape[1])
        query_M = query_M.astype(np.float32)
        excluded_X, passing = index.rows_of(excluded), index.passing(conditions)
        found = exact_scores(index, query_M, k, excluded_X, passing, lambda: None)
        rows = index.rows_of([key.decode() for key in index.ids_N])
        price = {}
        for part in {id(part): part for part in (getattr(index, "base", index), index)}.values():
            ids = getattr(part, "ids_D", part.ids_N).tolist()
            price |= dict(zip(ids, part.attributes["price"].values_N.tolist(), strict=True))
        allowed = [
            row
            for row, name in zip(rows.tolist(), index.ids_of(rows), strict=True)
            if name not in excluded and (not conditions or price[name.encode()] <= NEAR.most)
        ]
        scores = index.vectors_of(np.array(allowed)) @ query_M
        return found, np.sort(scores)[::-1][:k]

    return both


@pytest.mark.parametrize("k", [1, 50, 1000])
@pytest.mark.parametrize("conditions", [(), (NEAR,)])
@pytest.mark.parametrize("excluded", [(), ("i0000003", "i0000010", "i0000299", "gone")])
def test_the_scores_are_the_largest_of_all_that_may_be_found(best, k, excluded, conditions):
    found, expected = best(k, excluded, conditions)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert len(found) == min(k, len(expected))


def test_it_rests_after_every_block(index, monkeypatch):
    monkeypatch.setattr(exact, "BLOCK", 100)
    rests = []
    query_M = index.vectors_of(np.array([0]))[0]
    exact_scores(index, query_M, 5, NOTHING, None, lambda: rests.append(1))
    assert len(rests) >= 3
