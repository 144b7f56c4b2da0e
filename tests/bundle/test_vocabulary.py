"""Many categories in little memory, found as a dictionary finds them."""

import json
import tracemalloc

import numpy as np
import pytest
from support.release import make_release

from bundle.features import Categorical
from bundle.schema import FeatureSchema, read_schema, vocabulary_files, write_schema
from bundle.towers import open_user_tower
from bundle.vocabulary import LARGE, Packed, are_distinct, look_up, packed
from bundle.writing import to_json

MANY = [f"item{number}" for number in range(LARGE)]
ODD = ["é", "中文", "a b", "x" * 60, "0"]
KEYS = [
    "item7",
    "item65535",
    "",
    "item",
    "item70000",
    "é",
    "中文",
    "x" * 60,
    "x" * 61,
    "0",
    "0\0",
    "\ud800",
]
PLAIN = ["item7", "", "item70000", "x" * 9, "0"]  # ASCII, no longer than any entry


@pytest.mark.parametrize(
    "entries", [MANY, sorted(MANY), [*MANY, *ODD], [*ODD, *MANY], list(reversed(MANY))]
)
def test_packed_entries_are_found_as_listed_ones_are(entries):
    row_of = {entry: row for row, entry in enumerate(entries, start=1)}
    found = look_up(packed(entries))
    assert isinstance(found, Packed)
    for keys in (KEYS, PLAIN, [*PLAIN, "x" * 61], []):
        assert [row_of.get(key, 0) for key in keys] == found.rows(keys).tolist()


def test_packed_entries_are_a_sequence_of_the_same_texts():
    entries = packed([*MANY, *ODD])
    assert list(entries) == [*MANY, *ODD]
    assert entries == [*MANY, *ODD]
    assert (len(entries), entries[1], entries[-3], entries[3:5]) == (
        LARGE + 5,
        "item1",
        "a b",
        ["item3", "item4"],
    )


@pytest.mark.parametrize("odd", ["x" * 65, "a\0", "\ud800"])
def test_what_does_not_pack_well_stays_as_it_is(odd):
    entries = [*MANY, odd]
    assert packed(entries) is entries
    assert look_up(entries).rows([odd]).tolist() == [LARGE + 1]


def test_few_entries_stay_a_list():
    assert isinstance(packed(["a", "b"]), list)


@pytest.mark.parametrize("wrong", ["", "item9"])
def test_an_entry_that_is_empty_or_twice_is_noticed_among_many(wrong):
    assert are_distinct(packed(MANY))
    assert not are_distinct(packed([*MANY, wrong]))
    field = Categorical(name="item_id", vocabulary="v")
    with pytest.raises(ValueError, match="must be non-empty and differ"):
        FeatureSchema(vocabularies={"v": [*MANY, wrong]}, user=[field], item=[field])


def test_a_schema_with_many_categories_survives_its_json_and_takes_little_memory():
    field = Categorical(name="item_id", vocabulary="item_id")
    schema = FeatureSchema(vocabularies={"item_id": MANY}, user=[field], item=[field])
    content = to_json(schema)
    tracemalloc.start()
    again = FeatureSchema.model_validate_json(content)
    rows_B = again.encode_user({"item_id": ["item0", "item65535", "?", None]}, 4).arrays["item_id"]
    kept_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert again == schema
    assert to_json(again) == content
    np.testing.assert_array_equal([1, LARGE, 0, 0], rows_B)
    assert kept_bytes < 32 * LARGE


def test_large_sorted_vocabularies_are_written_to_files_and_mapped(tmp_path):
    field = Categorical(name="item_id", vocabulary="item_id")
    ordered = sorted(MANY)
    vocabularies = {"item_id": ordered, "unsorted": MANY, "odd name": ordered, "few": ["a"]}
    schema = FeatureSchema(vocabularies=vocabularies, user=[field], item=[field])
    write_schema(tmp_path, schema)
    assert vocabulary_files(tmp_path) == ["vocabulary.item_id.npy"]
    assert "item_id" not in json.loads((tmp_path / "features.json").read_bytes())["vocabularies"]
    again = read_schema(tmp_path, vocabulary_files(tmp_path))
    columns = {"item_id": ["item0", "item65535", "?", None]}
    rows_B = again.encode_user(columns, 4).arrays["item_id"]
    assert again == schema
    np.testing.assert_array_equal(rows_B, schema.encode_user(columns, 4).arrays["item_id"])
    assert isinstance(again.vocabularies["item_id"].entries_V.base, np.memmap)


def test_a_release_of_many_items_lists_its_vocabularies_and_serves_by_them(tmp_path, monkeypatch):
    monkeypatch.setattr("bundle.vocabulary.LARGE", 50)
    release = make_release(tmp_path, items=80, users=60)
    listed = {entry.path for entry in release.bundle.manifest.files}
    assert {"vocabulary.item_id.npy", "vocabulary.user_id.npy"} <= listed
    recent = {"recent_items": [["i0000003", "?"]]}
    arrays = release.bundle.schema.encode_user(recent, 1).arrays
    assert arrays["recent_items"][0][0] == 4  # counted from 1
    assert open_user_tower(release.bundle).embed(arrays).any()
