"""A log that cannot be read as it stands: the error names file, column, row and remedy."""

from __future__ import annotations

import polars as pl
import pytest


def test_a_directory_without_log_yaml(tmp_path, refused):
    refused(tmp_path, "log.yaml", None, None, "does not exist")


def test_a_file_in_place_of_the_directory(tmp_path, refused):
    (tmp_path / "file").touch()
    refused(tmp_path / "file", "log.yaml", None, None, "cannot be read (Not a directory)")


def test_a_log_yaml_that_is_not_yaml(little, refused):
    directory = little.write()
    directory.joinpath("log.yaml").write_text("cascade: [}")
    refused(directory, "log.yaml", None, None, "not YAML")


def test_an_unknown_key_in_log_yaml(little, refused):
    little.spec["features"]["user"][1]["max_lenght"] = 3
    refused(little, "log.yaml", "features.user.1.max_lenght", None, "no such field")


def test_an_unknown_version_of_log_yaml(little, refused):
    little.spec["version"] = 2
    refused(little, "log.yaml", "version", None)


def test_a_cascade_of_one_stage(little, refused):
    del little.spec["cascade"][1:]
    refused(little, "log.yaml", "cascade", None, "at least 2")


def test_a_cascade_of_six_stages(little, refused):
    little.spec["cascade"] = [{"stage": f"s{n}", "column": f"c{n}"} for n in range(6)]
    refused(little, "log.yaml", "cascade", None, "at most 5")


def test_a_stage_declared_twice(little, refused):
    little.spec["cascade"][1]["stage"] = "exposure"
    refused(little, "log.yaml", None, None, "stage 'exposure' is declared 2 times")


def test_a_stage_on_a_key_column(little, refused):
    little.spec["cascade"][1]["column"] = "position"
    refused(little, "log.yaml", None, None, "'position' is a fixed column")


def test_a_feature_declared_twice(little, refused):
    little.spec["features"]["item"].append({"name": "price", "type": "numeric"})
    refused(little, "log.yaml", "features", None, "item feature 'price' is declared 2 times")


def test_a_time_as_a_feature(little, refused):
    little.spec["features"]["user"][0]["name"] = "ts"
    refused(little, "log.yaml", "features", None, "'ts' differs in every request")


def test_a_key_that_is_no_category(little, refused):
    little.spec["features"]["item"][0]["type"] = "numeric"
    refused(little, "log.yaml", "features", None, "its type is categorical")


def test_a_vocabulary_that_no_feature_owns(little, refused):
    little.spec["features"]["user"][1]["vocabulary"] = "item"
    refused(little, "log.yaml", "features", None, "no categorical feature owns", "item_id")


@pytest.mark.parametrize("missing", ["max_length", "dim"])
def test_a_sequence_without_length_or_a_vector_without_dimension(little, refused, missing):
    side, row = ("user", 1) if missing == "max_length" else ("item", 2)
    del little.spec["features"][side][row][missing]
    refused(little, "log.yaml", f"features.{side}.{row}", None, f"needs '{missing}'")


def test_a_missing_table(little, refused):
    directory = little.write()
    directory.joinpath("items.parquet").unlink()
    refused(directory, "items.parquet", None, None, "does not exist")


def test_a_users_table_that_features_need(little, refused):
    directory = little.write()
    directory.joinpath("users.parquet").unlink()
    refused(directory, "users.parquet", None, None, "does not exist")


def test_a_half_written_table(little, refused):
    path = little.write() / "events.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    refused(path.parent, "events.parquet", None, None, "not a complete parquet file")


def test_a_table_with_damaged_pages(little, refused):
    path = little.write() / "events.parquet"
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    refused(path.parent, "events.parquet", None, None, "not a complete parquet file")


def test_a_missing_column(little, refused):
    little.tables["events"] = little.tables["events"].drop("clicked")
    refused(little, "events.parquet", "clicked", None, "missing", "exposed")


@pytest.mark.parametrize(
    ("table", "column", "wrong"),
    [
        ("requests", "request_id", pl.Series([1, 2, 3])),
        ("requests", "ts", pl.Series([1.0, 2.0, 3.0])),
        ("requests", "seen", pl.Series(["a", "b", "c"])),
        ("events", "clicked", pl.Series([1, 0, 0, 1])),
        ("events", "position", pl.Series([0.0, 1.0, 2.0, 3.0])),
        ("items", "price", pl.Series(["1", "2", "3"])),
        ("items", "content", pl.Series([0.1, 0.2, 0.3])),
    ],
)
def test_a_column_of_the_wrong_type(little, refused, table, column, wrong):
    little.set(table, **{column: wrong})
    refused(little, f"{table}.parquet", column, None, "its type is", "expected")


@pytest.mark.parametrize("table", ["requests", "events", "items", "users"])
def test_an_empty_table(little, refused, table):
    little.tables[table] = little.tables[table].clear()
    refused(little, f"{table}.parquet", None, None, "empty")


@pytest.mark.parametrize(
    ("table", "column"),
    [("requests", "ts"), ("requests", "user_id"), ("events", "clicked"), ("items", "item_id")],
)
def test_a_missing_key_time_or_stage(little, refused, table, column):
    little.add(table, **{column: None})
    row = little.tables[table].height - 1
    refused(little, f"{table}.parquet", column, row, "missing")


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [("requests", "request_id", "r2"), ("items", "item_id", "i2"), ("users", "user_id", "u1")],
)
def test_a_key_that_comes_twice(little, refused, table, key, value):
    little.add(table)
    row = little.tables[table].height - 1
    refused(little, f"{table}.parquet", key, row, value, "second time")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e200])
def test_a_number_that_is_not_finite_or_absurd(little, refused, bad):
    little.add("items", item_id="i3", price=bad)
    refused(little, "items.parquet", "price", 3, "Write null")


@pytest.mark.parametrize("bad", [[0.1, float("nan")], [0.1, None], [0.1, 2e6]])
def test_a_vector_with_a_hole_or_an_absurd_number(little, refused, bad):
    little.add("items", item_id="i3", content=bad)
    refused(little, "items.parquet", "content", 3)


def test_a_vector_of_the_wrong_length(little, refused):
    little.add("items", item_id="i3", content=[0.1, 0.2, 0.3])
    refused(little, "items.parquet", "content", 3, "3 elements", "dim: 2")


def test_a_null_inside_a_sequence(little, refused):
    little.add("requests", request_id="r3", seen=["i0", None])
    refused(little, "requests.parquet", "seen", 3)


def test_a_position_below_minus_one(little, refused):
    little.add("events", item_id="i0", position=-2)
    refused(little, "events.parquet", "position", 4, "-2")


def test_a_log_whose_every_event_had_to_be_set_aside(little, refused):
    little.set("events", request_id=pl.lit("nowhere"))
    refused(little, "events.parquet", None, None, "no event is left", "4 unknown request")
