"""Short codes cost a list neither its recall nor a digit of its scores."""

from dataclasses import replace

import numpy as np
import pytest
from support.release import make_release, user_records

from bundle.scoring import exact_top_k, scale_query
from bundle.segments import Segments
from bundle.store import publish
from index_builder.build import BuildSettings, build_index
from service.retrieval.passing import Passing
from service.snapshots.releases import load_snapshot

PAPER = np.array([1.0, 1.8, 1.2])
NOTHING = np.empty(0, np.int64)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("codes"), items=4000, users=200, requests=300)


@pytest.fixture(scope="module", params=["int8", "int4"])
def served(made, request):
    """A snapshot over short codes, which passed its golden queries, and users' queries."""
    settings = BuildSettings(exact_below=0, users=64, max_effort=1.0, codes=request.param)
    report = build_index(made.directory, made.log, settings)
    publish(made.releases, made.run_id, report.manifest.build_id)
    snapshot = load_snapshot(made.releases)
    records = user_records(made)[:60]
    columns = {name: [record[name] for record in records] for name in records[0]}
    users_BM = snapshot.tower.embed(snapshot.schema.encode_user(columns, len(records)).arrays)
    return snapshot.index, scale_query(users_BM, PAPER, snapshot.segments)


@pytest.mark.parametrize("k", [1, 50, 500])
def test_scores_are_exact_and_in_order(served, k):
    index, queries_BM = served
    for query_M in queries_BM[:10]:
        found = index.search(query_M, PAPER, k, NOTHING)
        exact_K = index.vectors_NM[found.rows_K] @ query_M
        np.testing.assert_allclose(found.scores_K, exact_K, rtol=1e-5, atol=1e-5)
        assert len(found.rows_K) == len(set(found.rows_K.tolist())) == k
        assert (np.diff(found.scores_K) <= 0).all()


@pytest.mark.parametrize("k", [50, 500])
def test_the_recall_is_what_the_builder_promised(served, k):
    index, queries_BM = served
    expected_BK, _ = exact_top_k(queries_BM, index.vectors_NM, k)
    found = [index.search(query_M, PAPER, k, NOTHING) for query_M in queries_BM]
    pairs = zip(found, expected_BK, strict=True)
    recall = np.mean([np.isin(expected_K, each.rows_K).mean() for each, expected_K in pairs])
    assert all(each.strategy == "cells" for each in found)
    assert recall > 0.94


def test_a_query_of_zeros_gets_a_list_too(served):
    index, queries_BM = served
    found = index.search(np.zeros_like(queries_BM[0]), PAPER, 50, np.arange(10))
    assert len(set(found.rows_K.tolist()) - set(range(10))) == 50
    assert not found.scores_K.any()


@pytest.mark.parametrize("segments", [(1, 1, 1), (2, 1, 2)])
@pytest.mark.parametrize("passed", [1.0, 0.6, 0.1])
def test_who_asks_for_everything_gets_it_however_few_the_dims(tmp_path, segments, passed):
    """The scan of 4 bits leaves out what scores least."""
    layout = Segments(("exposure", "click", "conversion"), segments)
    made = make_release(tmp_path, items=1500, users=60, requests=90, segments=layout)
    settings = BuildSettings(exact_below=0, users=64, max_effort=1.0, codes="int4")
    report = build_index(made.directory, made.log, replace(settings, attributes=("brand",)))
    publish(made.releases, made.run_id, report.manifest.build_id)
    index = load_snapshot(made.releases).index
    passes_N = np.random.default_rng(2).random(1500) < passed
    passing = Passing.of(passes_N, index.cells)
    wanted = np.flatnonzero(passes_N) if passed < 1 else np.arange(1500)
    for query_M in np.random.default_rng(3).normal(size=(20, layout.dim)).astype(np.float32):
        query_M[1:] = 0  # of the first objective alone
        given = passing if passed < 1 else None
        found = index.search(query_M, np.array([1.0, 0, 0]), len(wanted), NOTHING, given)
        assert sorted(found.rows_K.tolist()) == wanted.tolist()
