"""Columns of a catalogue become attributes for filters: right type, right row, or refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.release import Release

from bundle.store import read_index
from index_builder.build import build_index
from index_builder.cli import main
from index_builder.settings import BuildSettings


def with_columns(release: Release, **columns) -> list[dict]:
    """Replace or add columns of the catalogue; its rows."""
    path = release.log / "items.parquet"
    table = pq.read_table(path)
    for name, values in columns.items():
        held = table.drop_columns(name) if name in table.column_names else table
        table = held.append_column(name, values if isinstance(values, pa.Array) else [values])
    pq.write_table(table, path)
    return table.to_pylist()


def build(release: Release, *names: str):
    """The attribute columns of an index, by name, and its ids."""
    report = build_index(release.directory, release.log, BuildSettings(attributes=names))
    index = read_index(report.directory, release.bundle)
    ids = [item_id.decode() for item_id in index.item_ids_N]
    return {column.attribute.name: column for column in index.attributes}, ids


def test_each_item_keeps_its_own_value(release):
    stock = [None, True, False] * 100
    rows = with_columns(release, in_stock=pa.array(stock))
    columns, ids = build(release, "brand", "price", "in_stock")
    by_id = {row["item_id"]: row for row in rows}
    vocabulary = columns["brand"].attribute.vocabulary
    for row, item_id in enumerate(ids):
        item = by_id[item_id]
        assert vocabulary[columns["brand"].values_N[row] - 1] == item["brand"]
        assert columns["price"].values_N[row] == item["price"]
        flag = {None: -1, False: 0, True: 1}[item["in_stock"]]
        assert columns["in_stock"].values_N[row] == flag


def test_an_index_without_attributes_lists_none(release):
    assert build(release)[0] == {}


@pytest.mark.parametrize("encode", [pa.Array.dictionary_encode, lambda texts: texts])
def test_null_and_empty_text_are_missing(release, encode):
    with_columns(release, brand=encode(pa.array([None, "", "b"] * 100)))
    column = build(release, "brand")[0]["brand"]
    assert column.attribute.vocabulary == ["b"]
    assert np.bincount(column.values_N).tolist() == [200, 100]


def test_null_and_nan_are_missing_numbers_and_integers_are_numbers(release):
    shelf = pa.array([None, 7, 8] * 100)
    with_columns(release, shelf=shelf, depth=pa.array([float("nan"), 1.0, None] * 100))
    columns, _ = build(release, "shelf", "depth")
    assert columns["shelf"].attribute.type == "number"
    assert np.isnan(columns["shelf"].values_N).sum() == 100
    assert np.isnan(columns["depth"].values_N).sum() == 200


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("tags", pa.array([["a"]] * 300), "values of type list"),
        ("weight", pa.array([1.0, float("inf")] * 150), "row 1"),
        ("two words", pa.array(["a"] * 300), "rename it"),
        ("colour", None, "--attributes asks for it"),
    ],
)
def test_a_column_that_no_filter_can_use_is_refused_by_name(release, capsys, name, values, said):
    if values is not None:
        with_columns(release, **{name: values})
    arguments = ["--release", str(release.directory), "--log", str(release.log)]
    assert main([*arguments, "--attributes", f"brand,{name}"]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "items.parquet" in message
    assert repr(name) in message
    assert said in message
    assert not list((release.directory / "index").glob("2*"))
