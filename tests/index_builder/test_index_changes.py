"""Changes of the catalogue: journalled whole, served as a delta, folded in by the next build."""

import shutil
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.release import Release, make_release

from bundle.delta import delta_folder, positions, read_delta
from bundle.errors import BundleError
from bundle.store import read_current, read_index, read_pair
from bundle.towers import open_item_tower
from index_builder import changes
from index_builder.cli import main
from index_builder.errors import InputError
from index_builder.fold import _overlay
from index_builder.journal import Changes, Journal


def run(release: Release, *options: object) -> int:
    return main(["--release", str(release.directory), *map(str, options)])


def build(release: Release, *options: str) -> str:
    """Build and publish; the build's id."""
    named = ("--log", release.log, "--attributes", "brand,price", "--publish")
    assert run(release, *named, *options) == 0
    return read_current(release.releases).build_id


def served(release: Release):
    """The published index, and its newest delta."""
    _, index = read_pair(release.releases, read_current(release.releases))
    return index, read_delta(index, positions(index)[-1])


@pytest.fixture(scope="session")
def first_build(tmp_path_factory) -> Release:
    """A published release that tests copy."""
    made = make_release(tmp_path_factory.mktemp("first"))
    build(made)
    return made


@pytest.fixture
def published(first_build, tmp_path) -> Release:
    """A copy of it, to change."""
    root = tmp_path / "copy"
    shutil.copytree(first_build.releases.parent, root)
    return Release(root / "releases", first_build.run_id, root / "log")


@pytest.fixture(scope="session")
def items(first_build) -> list[dict]:
    """Rows of the catalogue, by id."""
    return pq.read_table(first_build.log / "items.parquet").sort_by("item_id").to_pylist()


@pytest.fixture
def change(published, tmp_path):
    """A function that hands in changes; the exit code."""

    def hand_in(*rows: dict) -> int:
        path = tmp_path / "changes.parquet"
        names = dict.fromkeys(name for each in rows for name in each)
        columns = {name: [each.get(name) for each in rows] for name in names}
        pq.write_table(pa.table(columns), path)
        return run(published, "--changes", path)

    return hand_in


def row(items: list[dict], number: int, **other: object) -> dict:
    return {**items[number], **other}


def ids(array) -> list[str]:
    return [item_id.decode() for item_id in array]


def test_a_delta_holds_new_updated_and_removed_items_encoded_by_the_served_tower(
    published, items, change
):
    new = row(items, 7, item_id="new", brand="brand of its own", price=9.5)
    updated = row(items, 3, price=1.0)
    gone = {"item_id": items[5]["item_id"], "removed": True}
    assert change(new, updated, gone) == 0
    index, delta = served(published)
    assert ids(delta.item_ids_D) == [items[3]["item_id"], "new"]
    assert ids(delta.removed_ids_R) == [items[5]["item_id"]]
    assert (delta.manifest.from_position, delta.manifest.position) == (0, 1)
    columns = {name: [updated[name], new[name]] for name in new}
    encoded = published.bundle.schema.encode_item(columns, 2)
    expected = open_item_tower(published.bundle).embed(encoded.arrays)
    np.testing.assert_allclose(delta.item_vectors_DM, expected, atol=1e-6)
    brand, price = delta.attributes
    assert price.values_N.tolist() == [1.0, 9.5]
    assert brand.attribute.vocabulary[brand.values_N[1] - 1] == "brand of its own"
    assert [column.attribute.name for column in index.attributes] == ["brand", "price"]


def test_deltas_add_up_and_the_last_word_on_an_item_holds(published, items, change):
    first, second = items[0]["item_id"], items[1]["item_id"]
    change({"item_id": first, "removed": True}, row(items, 1, price=5.0, removed=False))
    change(row(items, 0, price=7.0))
    change({"item_id": second, "removed": True})
    _, delta = served(published)
    assert delta.manifest.position == 3
    assert ids(delta.item_ids_D) == [first]
    assert delta.attributes[1].values_N.tolist() == [7.0]
    assert ids(delta.removed_ids_R) == [second]


def test_old_deltas_are_deleted_but_the_last_three(published, change):
    for _ in range(5):
        assert change({"item_id": "x", "removed": True}) == 0
    index, _ = served(published)
    assert positions(index) == [3, 4, 5]
    assert len(list(delta_folder(index).iterdir())) == 3


def test_a_build_folds_the_journal_in_and_says_up_to_where(published, items, change):
    change(row(items, 2, item_id="new"), {"item_id": items[5]["item_id"], "removed": True})
    change(row(items, 3, price=1.5))
    build(published)
    _, index = read_pair(published.releases, read_current(published.releases))
    assert index.manifest.journal_position == 2
    assert positions(index) == []
    expected = {item["item_id"] for item in items} - {items[5]["item_id"]} | {"new"}
    assert expected == set(ids(index.item_ids_N))
    place = ids(index.item_ids_N).index(items[3]["item_id"])
    assert index.attributes[1].values_N[place] == 1.5


def test_a_log_that_knows_the_journal_is_not_overlaid_with_what_it_knows(published, items, change):
    change({"item_id": items[0]["item_id"], "removed": True})
    change({"item_id": items[1]["item_id"], "removed": True})
    build(published, "--changes-after", "1")
    _, index = read_pair(published.releases, read_current(published.releases))
    assert index.manifest.journal_position == 2
    assert items[0]["item_id"] in ids(index.item_ids_N)
    assert items[1]["item_id"] not in ids(index.item_ids_N)
    assert run(published, "--log", published.log, "--changes-after", "3") == 2


def test_publishing_an_older_build_gives_it_every_change_first(published, change, items):
    """SPEC rule W6."""
    older = read_current(published.releases).build_id
    change({"item_id": items[0]["item_id"], "removed": True})
    build(published)
    change(row(items, 2, item_id="newer"))
    assert run(published, "--rollback", older) == 0
    assert read_current(published.releases).build_id == older
    _, delta = served(published)
    assert (delta.manifest.from_position, delta.manifest.position) == (0, 2)
    assert ids(delta.item_ids_D) == ["newer"]


def test_an_entry_of_the_journal_never_changes(published, change):
    """SPEC rule W5."""
    change({"item_id": "a", "removed": True})
    first = published.releases / "changes" / "00000001.parquet"
    before = first.read_bytes()
    change({"item_id": "b", "removed": True})
    assert before == first.read_bytes()
    assert sorted(path.name for path in first.parent.iterdir()) == [
        "00000001.parquet",
        "00000002.parquet",
    ]


def test_writers_at_the_same_time_get_positions_of_their_own(tmp_path):
    journal, taken = Journal(tmp_path), []

    def append() -> None:
        for _ in range(5):
            with journal.locked():
                taken.append(journal.append(pa.table({"item_id": ["a"], "removed": [True]})))

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1, 21)) == list(range(1, journal.end() + 1))


def test_a_journal_with_a_gap_is_refused_not_skipped(published, change, tmp_path):
    for name in ("a", "b", "c"):
        change({"item_id": name, "removed": True})
    (published.releases / "changes" / "00000002.parquet").unlink()
    with pytest.raises(InputError, match=r"00000002\.parquet: missing"):
        Journal(published.releases).end()
    assert change({"item_id": "d", "removed": True}) == 2


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"item_id": "", "removed": True}], "'item_id', row 0"),
        ([{"item_id": "a", "removed": True}] * 2, "rows 0 and 1"),
        ([{"item_id": "a", "removed": "yes"}], "'removed'"),
        ([{"removed": True}], "'item_id'"),
        ([{"item_id": "a"}], "'brand'"),
        ([{"price": "cheap"}], "'price'"),
        ([{"price": float("inf")}], "'price'"),
        ([{"content": [1.0]}], "'content'"),
        ([{"brand": [7]}], "'brand'"),
    ],
)
def test_changes_that_cannot_be_served_are_refused_and_nothing_is_written(
    published, items, change, capsys, rows, said
):
    whole = len(rows[0]) == 1 and "item_id" not in rows[0] and "removed" not in rows[0]
    assert change(*[row(items, 0, **each) if whole else each for each in rows]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: changes.parquet")
    assert said in message
    assert Journal(published.releases).end() == 0


def test_changes_of_another_type_than_earlier_ones_are_refused_before_they_are_kept(
    published, items, change, capsys
):
    assert change(row(items, 0, shelf=1)) == 0
    assert change(row(items, 1, shelf="left")) == 2
    assert "do not go together" in capsys.readouterr().err
    assert Journal(published.releases).end() == 1


def test_so_are_those_that_a_build_has_folded_in_since(published, items, change, capsys):
    """Another build begins with the first entry again, and so does an older index."""
    assert change(row(items, 0, shelf=1)) == 0
    build(published)
    assert change(row(items, 1, shelf="left")) == 2
    assert "do not go together" in capsys.readouterr().err
    build(published)


def test_of_items_that_are_gone_nothing_else_is_kept(published, items, change):
    gone = {"item_id": items[0]["item_id"], "removed": True, "shelf": "left"}
    assert change(gone) == 0
    assert change(row(items, 1, shelf=1)) == 0
    (entry,) = Journal(published.releases).folder.glob("*1.parquet")
    assert pq.read_schema(entry).names == ["item_id", "removed"]


def test_a_column_of_the_log_becomes_as_wide_as_its_changes(tmp_path):
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": ["a", "b"], "price": [1, 2]}), path)
    changed = pa.table({"item_id": ["b", "c"], "price": [9.5, 3.0]})
    _overlay(pq.ParquetFile(path), Changes(changed, []), tmp_path / "folded.parquet")
    folded = pq.read_table(tmp_path / "folded.parquet").to_pydict()
    assert folded == {"item_id": ["a", "b", "c"], "price": [1.0, 9.5, 3.0]}
    texts = pa.table({"item_id": ["b"], "price": ["cheap"]})
    with pytest.raises(InputError, match="column 'price'"):
        _overlay(pq.ParquetFile(path), Changes(texts, []), tmp_path / "refused.parquet")


def test_changes_whose_file_is_written_meanwhile_are_kept_as_they_were_checked(
    published, items, change, tmp_path, monkeypatch
):
    """It is bad when its rows are read, and good when they would be checked."""
    read = changes._with_removed

    def overwritten(rows, name):
        good = pa.Table.from_pylist([row(items, 3)])
        pq.write_table(good, tmp_path / "changes.parquet")
        return read(rows, name)

    monkeypatch.setattr(changes, "_with_removed", overwritten)
    assert change(row(items, 3, price=float("inf"))) == 2
    assert Journal(published.releases).end() == 0


def test_changes_need_a_published_pair_of_the_release_that_is_named(release, tmp_path, capsys):
    path = tmp_path / "changes.parquet"
    pq.write_table(pa.table({"item_id": ["a"], "removed": [True]}), path)
    assert run(release, "--changes", path) == 2
    assert "NotPublishedError" in capsys.readouterr().err
    build(release)
    shutil.copytree(release.directory, release.releases / "other")
    assert main(["--release", str(release.releases / "other"), "--changes", str(path)]) == 2
    assert "'tiny', not 'other'" in capsys.readouterr().err
    assert run(release, "--changes", tmp_path / "nothing.parquet") == 2
    assert "no such file" in capsys.readouterr().err


def test_a_delta_that_is_broken_is_refused_by_its_reader(published, change):
    change({"item_id": "a", "removed": True})
    index, _ = served(published)
    (delta_folder(index) / "00000001" / "removed_ids.npy").write_bytes(b"")
    with pytest.raises(BundleError, match="TruncatedFileError"):
        read_delta(index, 1)


def test_an_index_of_the_time_before_the_journal_can_be_read(published):
    index = read_index(
        published.directory / "index" / read_current(published.releases).build_id,
        published.bundle,
    )
    document = index.manifest.model_dump(mode="json")
    del document["journal_position"]
    assert type(index.manifest).model_validate(document).journal_position == 0
