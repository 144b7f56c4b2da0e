"""Whole columns are encoded as their values are, one by one."""

import numpy as np
import pyarrow as pa
import pytest

from bundle.columns import Coded
from bundle.features import Categorical, FeatureError, Numeric, Vector
from bundle.schema import FeatureSchema
from index_builder.columns import feature_columns

SCHEMA = FeatureSchema(
    vocabularies={"brand": ["a", "b", "7"]},
    user=[Numeric(name="age", mean=0.0, std=1.0)],
    item=[
        Categorical(name="brand", vocabulary="brand"),
        Numeric(name="price", mean=3.0, std=2.0),
        Vector(name="content", dim=2),
    ],
)
COLUMNS = {
    "texts": pa.array(["a", "b", None, "?", "", "a", "b", "a", "a", "b"]),
    "numbers as categories": pa.array([7, 7, 8, None, 7, 7, 7, 8, 8, 7]),
    "texts that all differ": pa.array([f"b{row}" for row in range(9)] + ["b"]),
    "texts with codes": pa.array(["a", "b"] * 5).dictionary_encode(),
    "flags": pa.array([True, None] * 5),
}
NUMBERS = {
    "floats": pa.array([1.5, -2.0, 3.0, 1e9, 0.1] * 2, pa.float32()),
    "integers": pa.array(range(10)),
    "some missing": pa.array([1.0, None] * 5),
}
VECTORS = {
    "lists": pa.array([[row, 0.5] for row in range(10)], pa.list_(pa.float32())),
    "fixed lists": pa.array([[row, 0.5] for row in range(10)], pa.list_(pa.float64(), 2)),
    "some missing": pa.array([[1.0, 2.0], None] * 5),
}


def batch(brand=COLUMNS["texts"], price=NUMBERS["floats"], content=VECTORS["lists"]):
    return pa.RecordBatch.from_arrays([brand, price, content], ["brand", "price", "content"])


@pytest.mark.parametrize(
    "given",
    [
        *(batch(brand=column) for column in COLUMNS.values()),
        *(batch(price=column) for column in NUMBERS.values()),
        *(batch(content=column) for column in VECTORS.values()),
        batch().slice(3, 4),
    ],
)
def test_columns_are_encoded_as_python_values_are(given):
    expected = SCHEMA.encode_item(given.to_pydict(), given.num_rows)
    found = SCHEMA.encode_item(feature_columns(given, SCHEMA.item), given.num_rows)
    assert expected.unknown == found.unknown
    for name, array in expected.arrays.items():
        assert array.dtype == found.arrays[name].dtype
        np.testing.assert_array_equal(array, found.arrays[name])


def test_few_categories_numbers_and_vectors_go_as_whole_arrays():
    columns = feature_columns(batch(), SCHEMA.item)
    assert isinstance(columns["brand"], Coded)
    assert columns["price"].shape == (10,)
    assert columns["content"].shape == (10, 2)


@pytest.mark.parametrize(
    ("given", "row"),
    [
        (batch(price=pa.array([1.0] * 4 + [float("nan")] + [2.0] * 5)), 4),
        (batch(content=pa.array([[1.0, 2.0]] * 6 + [[1.0, 1e7]] + [[0.0, 0.0]] * 3)), 6),
        (batch(content=pa.array([[1.0, 2.0]] * 9 + [[1.0, 2.0, 3.0]])), 9),
        (batch(content=pa.array([[1.0, 2.0]] * 8 + [[1.0, None], [1.0, 2.0]])), 8),
        (batch(content=pa.array([[]] * 10, pa.list_(pa.float32()))), 0),
    ],
)
def test_a_wrong_value_is_refused_by_its_row(given, row):
    with pytest.raises(FeatureError) as refusal:
        SCHEMA.encode_item(feature_columns(given, SCHEMA.item), given.num_rows)
    assert refusal.value.row == row
