"""What a filter means, and that a filtered list is nearly the exact one, however much passes."""

from dataclasses import replace

import faiss
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.release import make_release, user_records

from bundle.attributes import Attribute, AttributeColumn
from bundle.scoring import exact_top_k, scale_query
from bundle.store import publish
from index_builder.build import BuildSettings, build_index
from service.retrieval.filters import Condition, FilterError, compile_filter, evaluate
from service.retrieval.passing import Cells, Passing, PassingCache
from service.snapshots.releases import load_snapshot

NOTHING = np.empty(0, np.int64)
PAPER = np.array([1.0, 1.8, 1.2])
SHARES = (1.0, 0.5, 0.1, 0.01, 0.001)
ITEMS = 20_000


def column(name, kind, values, vocabulary=None):
    return AttributeColumn(Attribute(name=name, type=kind, vocabulary=vocabulary), np.array(values))


COLUMNS = {
    "brand": column("brand", "category", [0, 1, 2, 1], ["acme", "best"]),
    "price": column("price", "number", [1.0, 2.0, 3.5, np.nan]),
    "in_stock": column("in_stock", "flag", [-1, 0, 1, 1]),
}


def passing(*conditions):
    tests = compile_filter(COLUMNS, conditions)
    return np.flatnonzero(evaluate(COLUMNS, tests)).tolist()


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        (Condition("brand", equals="acme"), [1, 3]),
        (Condition("brand", one_of=["acme", "best", "acme"]), [1, 2, 3]),
        (Condition("brand", one_of=["nobody"]), []),
        (Condition("brand", one_of=[]), []),
        (Condition("brand", none_of=["acme"]), [0, 2]),
        (Condition("brand", none_of=[]), [0, 1, 2, 3]),
        (Condition("price", equals=2), [1]),
        (Condition("price", one_of=[1, 3.5]), [0, 2]),
        (Condition("price", none_of=[1]), [1, 2, 3]),
        (Condition("price", least=2), [1, 2]),
        (Condition("price", most=2), [0, 1]),
        (Condition("price", least=1.5, most=3), [1]),
        (Condition("price", least=3, most=1), []),
        (Condition("in_stock", equals=True), [2, 3]),
        (Condition("in_stock", equals=False), [1]),
        (Condition("in_stock", none_of=[True]), [0, 1]),
    ],
)
def test_a_condition_passes_the_rows_it_names_and_missing_values_only_under_not_in(condition, rows):
    assert rows == passing(condition)


def test_all_conditions_must_hold():
    assert passing(Condition("brand", equals="acme"), Condition("price", most=9)) == [1]
    assert passing(Condition("brand", equals="acme"), Condition("brand", equals="best")) == []


@pytest.mark.parametrize(
    ("condition", "field", "expected"),
    [
        (Condition("colour", equals="red"), "filter.0.attribute", "one of brand, in_stock, price"),
        (Condition("brand"), "filter.0", "equals, in, not_in, min or max beside the attribute"),
        (Condition("brand", equals=1), "filter.0.equals", "text"),
        (Condition("brand", one_of=["acme", True]), "filter.0.in", "text"),
        (Condition("brand", least=1), "filter.0.min", "no range: brand is a category"),
        (Condition("in_stock", equals=1), "filter.0.equals", "true or false"),
        (Condition("in_stock", most=1), "filter.0.max", "no range: in_stock is a flag"),
        (Condition("price", equals="2"), "filter.0.equals", "a finite number"),
        (Condition("price", none_of=[True]), "filter.0.not_in", "a finite number"),
        (Condition("price", one_of=[10**400]), "filter.0.in", "a finite number"),
        (Condition("price", equals=float("nan")), "filter.0.equals", "a finite number"),
    ],
)
def test_an_unknown_attribute_and_a_value_of_another_type_are_refused(condition, field, expected):
    with pytest.raises(FilterError) as refusal:
        compile_filter(COLUMNS, [condition])
    assert (refusal.value.field, refusal.value.expected) == (field, expected)


BRANDS = [None, "acme", "best", "acme"]
conditions = st.builds(
    Condition,
    attribute=st.just("brand"),
    equals=st.none() | st.sampled_from(["acme", "best", "nobody"]),
    one_of=st.none() | st.lists(st.sampled_from(["acme", "best", "nobody"]), max_size=3),
    none_of=st.none() | st.lists(st.sampled_from(["acme", "best", "nobody"]), max_size=3),
) | st.builds(
    Condition,
    attribute=st.just("price"),
    equals=st.none() | st.sampled_from([1, 2.0, 9]),
    none_of=st.none() | st.lists(st.sampled_from([1.0, 3.5, 9]), max_size=3),
    least=st.none() | st.sampled_from([0.0, 2.0, 3.6]),
    most=st.none() | st.sampled_from([1.5, 2.0, 4.0]),
)


def meets(condition, value):
    """What a condition says of one item's value, item by item."""
    return (
        (condition.equals is None or value == condition.equals)
        and (condition.one_of is None or value in condition.one_of)
        and (condition.none_of is None or value not in condition.none_of)
        and (condition.least is None or (value is not None and value >= condition.least))
        and (condition.most is None or (value is not None and value <= condition.most))
    )


@given(st.lists(conditions, min_size=1, max_size=4))
def test_a_filter_passes_the_items_that_meet_it_one_by_one(asked):
    said = [(each.equals, each.one_of, each.none_of, each.least, each.most) for each in asked]
    assume(all(any(part is not None for part in parts) for parts in said))
    values = {"brand": BRANDS, "price": [1.0, 2.0, 3.5, None]}
    expected = [
        row for row in range(4) if all(meets(each, values[each.attribute][row]) for each in asked)
    ]
    assert expected == passing(*asked)


def test_equal_filters_are_equal_however_they_are_written():
    price = Condition("price", most=5)
    once = compile_filter(COLUMNS, [Condition("brand", one_of=["acme", "none"]), price])
    again = compile_filter(COLUMNS, [price, Condition("brand", equals="acme"), price])
    assert once == again


@given(
    passes=st.lists(st.booleans(), min_size=1, max_size=200),
    asked=st.lists(st.integers(0, 199), max_size=20),
)
def test_rows_are_asked_for_by_bit_as_by_boolean(passes, asked):
    passes_N = np.array(passes)
    rows_X = np.array([row for row in asked if row < len(passes)], np.int64)
    assert Passing.of(passes_N, None).among(rows_X).tolist() == rows_X[passes_N[rows_X]].tolist()


@pytest.mark.parametrize("bound", [{"limit": 2000}, {"most": 2}])
def test_the_filters_used_last_are_kept_within_their_bounds(bound):
    made = []

    def make(key):
        def once():
            made.append(key)
            return Passing.of(np.ones(8000, bool), None)  # 1,000 bytes

        return once

    cache = PassingCache(**bound)
    for key in "abacab":
        cache.get(key, make(key))
    assert made == ["a", "b", "c", "b"]


def test_a_filter_knows_how_far_it_goes_with_the_cells():
    cells = Cells(np.repeat(np.arange(10, dtype=np.int32), 1000), np.full(10, 1000))
    whole = Passing.of(np.repeat(np.arange(10) < 3, 1000), cells)
    apart = Passing.of(np.random.default_rng(0).random(10_000) < 0.3, cells)
    assert (whole.cells, apart.cells) == (3, 10)
    assert whole.clustering == pytest.approx(1)
    assert apart.clustering < 0.01
    assert Passing.of(np.ones(10_000, bool), cells).clustering == 0


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    """A snapshot over an inverted file, users, and two attributes in [0, 1): apart and together.

    Each attribute's lowest share s is a filter of selectivity s; `apart` knows nothing of the
    vectors, `near` is the distance from one of them: the share is a ball.
    """
    made = make_release(tmp_path_factory.mktemp("filters"), items=ITEMS, users=200, requests=300)
    report = build_index(made.directory, made.log, BuildSettings(exact_below=100, users=128))
    publish(made.releases, made.run_id, report.manifest.build_id)
    snapshot = load_snapshot(made.releases)
    records = user_records(made)[:40]
    columns = {name: [record[name] for record in records] for name in records[0]}
    users_BM = snapshot.tower.embed(snapshot.schema.encode_user(columns, len(records)).arrays)
    rng, index = np.random.default_rng(5), snapshot.index
    distances_N = np.square(index.vectors_NM - index.vectors_NM[7]).sum(axis=1)
    near_N = np.argsort(np.argsort(distances_N)) / ITEMS
    values = {"apart": rng.permutation(ITEMS) / ITEMS, "near": near_N}
    attributes = {name: column(name, "number", held) for name, held in values.items()}
    index = replace(index, attributes=attributes, cells=Cells.of(index.faiss_index))
    return index, scale_query(users_BM, PAPER, snapshot.segments)


@pytest.mark.parametrize("name", ["apart", "near"])
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("k", [50, 500])
def test_recall_holds_at_every_selectivity_also_where_the_filter_is_a_cluster(
    clustered, name, share, k
):
    index, queries_BM = clustered
    passes = index.passing([Condition(name, most=share - 0.5 / ITEMS)])
    rows_P = np.flatnonzero(index.attributes[name].values_N < share)
    assert passes.count == len(rows_P) == round(share * ITEMS)
    recalls = []
    for query_M in queries_BM:
        exact_1K, _ = exact_top_k(query_M[None], index.vectors_NM[rows_P], k)
        found = index.search(query_M, PAPER, k, NOTHING, passes)
        found_K, scores_K = found.rows_K, found.scores_K
        assert len(set(found_K.tolist())) == min(k, len(rows_P))
        assert np.isin(found_K, rows_P).all()
        assert (np.diff(scores_K) <= 0).all()
        recalls.append(np.isin(rows_P[exact_1K[0]], found_K).mean())
    assert np.mean(recalls) >= 0.95


def test_cells_without_a_row_that_passes_are_not_visited(clustered):
    index, queries_BM = clustered
    inverted = faiss.extract_index_ivf(index.faiss_index)
    nearest = inverted.quantizer.search(queries_BM[:1], inverted.nlist)[1][0]
    passes_N = index.cells.of_rows_N == nearest[-1]
    parameters = Passing.of(passes_N, index.cells).visiting(1)
    rows_1K = index.faiss_index.search(queries_BM[:1], int(passes_N.sum()), params=parameters)[1]
    assert sorted(rows_1K[0]) == np.flatnonzero(passes_N).tolist()


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_exclusions_and_a_filter_hold_together_and_the_list_stays_full(clustered, share):
    index, queries_BM = clustered
    passes = index.passing([Condition("near", most=share)])
    first_K = index.search(queries_BM[0], PAPER, 50, NOTHING, passes).rows_K
    others = np.flatnonzero(index.attributes["near"].values_N > share)[:200]
    excluded_X = np.concatenate([first_K[:20], others])
    rows_K = index.search(queries_BM[0], PAPER, 30, excluded_X, passes).rows_K
    assert len(rows_K) == 30
    assert not np.isin(rows_K, excluded_X).any()
    assert np.isin(first_K[20:], rows_K).mean() > 0.9


def test_a_list_is_shorter_than_k_only_where_fewer_rows_pass(clustered):
    index, queries_BM = clustered
    passes = index.passing([Condition("apart", most=2.5 / ITEMS)])
    rows_K = index.search(queries_BM[0], PAPER, 50, NOTHING, passes).rows_K
    assert sorted(rows_K) == np.flatnonzero(index.attributes["apart"].values_N < 3 / ITEMS).tolist()
    nothing = index.passing([Condition("apart", most=-1)])
    assert len(index.search(queries_BM[0], PAPER, 50, NOTHING, nothing).rows_K) == 0
    every = index.passing([Condition("apart", most=0.5)])
    excluded_X = np.flatnonzero(index.attributes["apart"].values_N < 0.4999)
    rows_K = index.search(queries_BM[0], PAPER, 50, excluded_X, every).rows_K
    assert len(rows_K) == every.count - len(excluded_X) < 50


@pytest.mark.parametrize("share", SHARES)
def test_an_index_without_cells_gives_the_exact_list(clustered, share):
    index, queries_BM = clustered
    flat = faiss.IndexFlatIP(index.vectors_NM.shape[1])
    flat.add(np.ascontiguousarray(index.vectors_NM))
    exact = replace(index, faiss_index=flat, effort=None, cells=None, filters=PassingCache())
    passes = exact.passing([Condition("apart", most=share - 0.5 / ITEMS)])
    rows_P = np.flatnonzero(index.attributes["apart"].values_N < share)
    for query_M in queries_BM[:5]:
        exact_1K, _ = exact_top_k(query_M[None], index.vectors_NM[rows_P], 20)
        found_K = exact.search(query_M, PAPER, 20, NOTHING, passes).rows_K
        assert rows_P[exact_1K[0]].tolist() == found_K.tolist()
