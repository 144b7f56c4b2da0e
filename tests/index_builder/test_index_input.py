"""What cannot be indexed is refused before anything is written, by a message that names it."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from onnx import numpy_helper
from support.release import Release, make_release

from bundle.store import read_current, seal_bundle, staged_bundle
from index_builder.cli import main


def run(release: Release, *options: str) -> int:
    return main(["--release", str(release.directory), "--log", str(release.log), *options])


def builds(release: Release) -> list[str]:
    folder = release.directory / "index"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def rewrite(release: Release, name: str, change) -> None:
    path = release.log / name
    pq.write_table(change(pq.read_table(path)), path)


def refused(release: Release, capsys, *fragments: str) -> None:
    assert run(release, "--publish") == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: ")
    for fragment in fragments:
        assert fragment in message
    assert builds(release) == []
    assert not (release.releases / "CURRENT").exists()


def with_id(table: pa.Table, row: int, value: str | None) -> pa.Table:
    ids = table["item_id"].to_pylist()
    ids[row] = value
    return table.set_column(table.schema.get_field_index("item_id"), "item_id", pa.array(ids))


def test_a_repeated_item_is_refused_with_both_rows(release, capsys):
    rewrite(
        release,
        "items.parquet",
        lambda table: with_id(table, 7, table["item_id"][3].as_py()),
    )
    refused(release, capsys, "items.parquet", "'item_id'", "rows 3 and 7", "one row per item")


@pytest.mark.parametrize("value", ["", None, "a\0b", "x" * 513])
def test_an_id_that_is_empty_too_long_or_holds_a_nul_is_refused_with_its_row(
    release, capsys, value
):
    rewrite(release, "items.parquet", lambda table: with_id(table, 5, value))
    refused(release, capsys, "items.parquet", "'item_id', row 5", "non-empty")


def test_a_missing_item_column_is_refused_by_name(release, capsys):
    rewrite(release, "items.parquet", lambda table: table.drop_columns("price"))
    refused(release, capsys, "items.parquet", "'price'", "features.json")


def test_a_missing_user_column_is_refused_by_name(release, capsys):
    rewrite(release, "users.parquet", lambda table: table.drop_columns("age"))
    refused(release, capsys, "users.parquet", "'age'", "features.json")


def test_a_missing_users_table_is_refused_by_name(release, capsys):
    (release.log / "users.parquet").unlink()
    refused(release, capsys, "'age'", "users.parquet")


def test_an_empty_catalogue_is_refused(release, capsys):
    rewrite(release, "items.parquet", lambda table: table.slice(0, 0))
    refused(release, capsys, "items.parquet", "no items")


def test_an_empty_requests_table_is_refused(release, capsys):
    rewrite(release, "requests.parquet", lambda table: table.slice(0, 0))
    refused(release, capsys, "requests.parquet", "no requests")


def test_a_half_written_table_is_refused(release, capsys):
    path = release.log / "items.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    refused(release, capsys, "items.parquet", "not a parquet file")


def test_a_missing_log_is_refused(release, capsys):
    shutil.rmtree(release.log)
    refused(release, capsys, "items.parquet", "no such file", "--log")


def test_a_number_that_is_not_finite_is_refused_with_its_item(release, capsys):
    def spoil(table: pa.Table) -> pa.Table:
        prices = table["price"].to_pylist()
        prices[11] = float("nan")
        return table.set_column(2, "price", pa.array(prices))

    rewrite(release, "items.parquet", spoil)
    item = pq.read_table(release.log / "items.parquet")["item_id"][11].as_py()
    refused(release, capsys, "'price'", repr(item), "finite number")


def test_a_wrong_value_of_a_user_is_refused_with_the_tables_it_may_lie_in(release, capsys):
    def age(table: pa.Table) -> pa.Table:
        return table.set_column(1, "age", pa.array(["old"] * table.num_rows))

    rewrite(release, "users.parquet", age)
    refused(release, capsys, "users.parquet", "'age'", "'old'", "finite number")


def test_a_vector_of_the_wrong_length_is_refused_with_its_item(release, capsys):
    def shorten(table: pa.Table) -> pa.Table:
        content = table["content"].to_pylist()
        content[2] = content[2][:-1]
        return table.set_column(3, "content", pa.array(content, pa.list_(pa.float32())))

    rewrite(release, "items.parquet", shorten)
    item = pq.read_table(release.log / "items.parquet")["item_id"][2].as_py()
    refused(release, capsys, "'content'", repr(item), "8 numbers")


def test_missing_values_are_indexed_not_refused(release):
    def forget(table: pa.Table) -> pa.Table:
        nothing = pa.nulls(table.num_rows, table.schema.field("price").type)
        return table.set_column(2, "price", pc.if_else(True, nothing, table["price"]))

    rewrite(release, "items.parquet", forget)
    assert run(release) == 0


def test_a_tower_that_yields_nan_is_refused_with_the_item(tmp_path, capsys):
    sound = make_release(tmp_path)
    broken = Release(sound.releases, "broken", sound.log)
    with staged_bundle(sound.releases, "broken") as directory:
        for entry in sound.bundle.manifest.files:
            shutil.copy(sound.directory / entry.path, directory)
        _spoil_first_row(directory / "item_tower.onnx")
        manifest = sound.bundle.manifest
        seal_bundle(
            directory,
            run_id="broken",
            segments=manifest.layout,
            default_weights=manifest.default_weights,
            certificates=manifest.certificates,
        )
    refused(broken, capsys, "item_tower.onnx", "item 'i0000000'", "not finite")


def _spoil_first_row(path: Path) -> None:
    model = onnx.load(path)
    table = next(one for one in model.graph.initializer if one.name == "item_id__table")
    values = numpy_helper.to_array(table).copy()
    values[1] = np.nan
    table.CopyFrom(numpy_helper.from_array(values, table.name))
    onnx.save(model, path)


def test_a_directory_that_is_no_bundle_is_refused(release, capsys, tmp_path):
    code = main(["--release", str(tmp_path / "nowhere"), "--log", str(release.log)])
    assert code == 2
    assert "bundle.json" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_below_the_target_nothing_is_written_and_the_message_says_what_to_try(release, capsys):
    assert run(release, "--publish") == 0
    before = (read_current(release.releases), builds(release))
    code = run(release, "--publish", "--exact-below", "0", "--max-effort", "0.01")
    assert code == 3
    message = capsys.readouterr().err
    for hint in ("below the target 0.95", "--max-effort", "--target-recall", "--exact-below"):
        assert hint in message
    assert before == (read_current(release.releases), builds(release))


def test_a_directory_that_cannot_be_written_is_one_line_and_exit_code_1(release, capsys):
    (release.directory / "index").write_text("in the way")
    assert run(release) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert str(release.directory / "index") in last


def test_an_older_build_can_be_published_again(release):
    assert run(release, "--publish") == 0
    assert run(release, "--publish", "--seed", "1") == 0
    older, newer = builds(release)
    assert read_current(release.releases).build_id == newer
    assert main(["--release", str(release.directory), "--rollback", older]) == 0
    assert read_current(release.releases).build_id == older
    assert builds(release) == [older, newer]


def test_going_back_to_a_build_that_is_not_there_is_refused_and_changes_nothing(release, capsys):
    assert run(release, "--publish") == 0
    before = read_current(release.releases)
    assert main(["--release", str(release.directory), "--rollback", "never-built"]) == 2
    assert "never-built" in capsys.readouterr().err
    assert read_current(release.releases) == before
