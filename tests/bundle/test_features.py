"""The one encoder: what towers see for every kind of raw value."""

import tracemalloc

import numpy as np
import pytest

from bundle.features import (
    Categorical,
    CategorySequence,
    FeatureError,
    Numeric,
    Vector,
    build_vocabulary,
)
from bundle.schema import FeatureSchema

SCHEMA = FeatureSchema(
    vocabularies={"item_id": ["a", "b", "c"], "city": ["7", "x"]},
    user=[
        Categorical(name="city", vocabulary="city"),
        CategorySequence(name="recent", vocabulary="item_id", max_length=3),
        Numeric(name="age", mean=40.0, std=10.0),
        Vector(name="taste", dim=2),
    ],
    item=[Categorical(name="item_id", vocabulary="item_id")],
)


def encode(**columns):
    rows = len(next(iter(columns.values())))
    return SCHEMA.encode_user(columns, rows)


def test_categories_become_rows_counted_from_one_and_integers_read_as_text():
    encoded = encode(city=["x", 7, "7", None, "elsewhere"])
    assert encoded.arrays["city"].tolist() == [2, 1, 1, 0, 0]
    assert encoded.unknown == {"city": 1}, "missing is not unknown"


def test_sequences_keep_the_most_recent_values_oldest_first_padded_at_the_end():
    encoded = encode(recent=[["a", "b", "c", "a"], ["c"], [], None, ["a", "?", "b"]])
    assert encoded.arrays["recent"].tolist() == [
        [2, 3, 1],
        [3, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
        [1, 2, 0],
    ]
    assert encoded.unknown == {"recent": 1}


def test_numbers_are_standardised_clipped_and_the_mean_when_missing():
    assert encode(age=[50, 40.0, None, 1e30]).arrays["age"].tolist() == [1.0, 0.0, 0.0, 10.0]


def test_vectors_pass_through_and_are_zero_when_missing():
    assert encode(taste=[[1, 2.5], None]).arrays["taste"].tolist() == [[1.0, 2.5], [0.0, 0.0]]


def test_a_record_without_features_is_served_with_every_input_present():
    arrays = SCHEMA.encode_user({"not_a_feature": ["?"]}, rows=1).arrays
    assert {name: array.shape for name, array in arrays.items()} == {
        "city": (1,),
        "recent": (1, 3),
        "age": (1,),
        "taste": (1, 2),
    }


def test_encoded_arrays_have_the_declared_shape_and_type():
    arrays = SCHEMA.encode_user({}, rows=4).arrays
    for feature in SCHEMA.user:
        array = arrays[feature.name]
        assert str(array.dtype) == feature.tensor.dtype
        assert array.shape == (4, *feature.tensor.shape[1:])


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("city", 1.5),
        ("city", ["x"]),
        ("city", {"name": "x"}),
        ("recent", "abc"),
        ("recent", [["a"]]),
        ("recent", [2.5]),
        ("age", "forty"),
        ("age", True),
        ("age", float("nan")),
        ("age", 10**400),
        ("taste", [1.0]),
        ("taste", [1.0, float("inf")]),
        ("taste", [1.0, 1e30]),
        ("taste", [0, 10**400]),
        ("taste", [0, -(2**63)]),
        ("taste", ["a", "b"]),
        ("taste", ["1", "2"]),
        ("taste", [True, False]),
        ("taste", [1, True]),
        ("taste", [1.0, None]),
        ("taste", [[1.0], [1.0, 2.0]]),
        ("taste", 3.0),
        ("taste", [[1.0, 2.0]]),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_feature_and_row(feature, value):
    with pytest.raises(FeatureError) as refusal:
        encode(**{feature: [None, value]})
    assert (refusal.value.feature, refusal.value.row) == (feature, 1)


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("taste", ["a" * 1000] + [1] * 50_000),
        ("taste", [["a" * 1000] + [1] * 25_000, ["a"] * 25_001]),
        ("taste", ["a" * 5_000_000, 1]),
        ("age", [123_456] * 200_000),
        ("city", [["x" * 1000] * 1000] * 10),
    ],
)
def test_refusing_a_large_value_and_saying_so_takes_little_memory(feature, value):
    tracemalloc.start()
    try:
        with pytest.raises(FeatureError) as refusal:
            encode(**{feature: [value]})
        message = str(refusal.value)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert message.startswith(f"feature '{feature}', row 0: expected ")
    assert len(message) < 200
    assert peak_bytes < 500_000


def test_a_value_nested_as_deep_as_a_parser_goes_has_a_message():
    nested = 1
    for _ in range(20_000):
        nested = [nested]
    with pytest.raises(FeatureError) as refusal:
        encode(age=[nested])
    assert "got [[[" in str(refusal.value)


def test_one_record_encodes_as_it_does_within_a_batch():
    columns = {"city": ["x", "?"], "recent": [["a"], ["b", "c"]], "age": [3, None]}
    batch = SCHEMA.encode_user(columns, rows=2).arrays
    for row in range(2):
        single = SCHEMA.encode_user({k: [v[row]] for k, v in columns.items()}, rows=1).arrays
        for name, array in single.items():
            np.testing.assert_array_equal(array[0], batch[name][row])


def test_encoding_users_spends_no_memory_on_vocabularies_that_only_items_use():
    brands = [f"brand{number}" for number in range(100_000)]
    schema = FeatureSchema(
        vocabularies={"city": ["x"], "brand": brands},
        user=[Categorical(name="city", vocabulary="city")],
        item=[Categorical(name="brand", vocabulary="brand")],
    )
    tracemalloc.start()
    schema.encode_user({"city": ["x"]}, rows=1)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 100_000
    assert schema.encode_item({"brand": ["brand7"]}, rows=1).arrays["brand"].tolist() == [8]


def test_vocabularies_are_sorted_and_leave_out_rare_and_missing_values():
    assert build_vocabulary([["b", "a", None], ["b", 10, 10]], min_count=2) == ["10", "b"]


def test_a_constant_or_empty_numeric_column_stays_finite():
    assert Numeric.fit("n", [5, 5, None]).encode([5, 7]).tolist() == [0.0, 2.0]
    assert Numeric.fit("n", [None]).encode([None, 1]).tolist() == [0.0, 1.0]
    assert Numeric.fit("n", [0.1] * 3).std == 1, "whose mean is not .1 to the last digit"
