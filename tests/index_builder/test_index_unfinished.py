"""What a stopped build leaves behind, and what of it the next one believes."""

from pathlib import Path

import numpy as np
import pytest
from support.release import Release, make_release

from index_builder import encode, tables
from index_builder.build import build_index
from index_builder.progress import Progress
from index_builder.settings import BuildSettings
from index_builder.unfinished import PREFIX, RECORD, VECTORS, unfinished

BATCH, ITEMS = 64, 640
SETTINGS = BuildSettings(exact_below=0, max_effort=1.0, users=64)


@pytest.fixture(autouse=True)
def _many_batches(monkeypatch):
    monkeypatch.setattr(tables, "BATCH_ROWS", BATCH)
    monkeypatch.setattr(encode, "CHECKPOINT_S", 0.0)


@pytest.fixture
def release(tmp_path) -> Release:
    return make_release(tmp_path, items=ITEMS)


def left(release: Release) -> list[Path]:
    return sorted((release.directory / "index").glob(f"{PREFIX}*"))


def stop_after(batches: int, release: Release, settings: BuildSettings = SETTINGS) -> Path:
    """Ctrl-C once so many batches are noted; the folder left."""
    counted = 0
    advance = Progress.advance

    def count(self: Progress, units: int) -> None:
        nonlocal counted
        counted += self.phase == "encode" and units > 0
        if counted > batches:
            raise KeyboardInterrupt
        advance(self, units)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "advance", count)
        with pytest.raises(KeyboardInterrupt):
            build_index(release.directory, release.log, settings)
    (folder,) = left(release)
    return folder


def build(release: Release, settings: BuildSettings = SETTINGS) -> tuple[dict[str, str], int]:
    """Hashes of the files of a build, and how many batches it encoded."""
    batches, embed = [], encode._embed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode, "_embed", lambda *given: (batches.append(1), embed(*given))[1])
        report = build_index(release.directory, release.log, settings)
    return {entry.path: entry.sha256 for entry in report.manifest.files}, len(batches)


def test_a_stopped_build_goes_on_and_ends_in_the_same_files(release):
    whole, batches = build(release)
    stop_after(6, release)
    again, rest = build(release)
    assert whole == again
    assert (batches, rest) == (10, 4)
    assert left(release) == []


def test_counts_of_unknown_values_are_those_of_all_batches(release):
    expected = build_index(release.directory, release.log, SETTINGS).unknown
    stop_after(6, release)
    assert expected == build_index(release.directory, release.log, SETTINGS).unknown


def test_cells_that_were_trained_are_not_trained_again(release, monkeypatch):
    whole, _ = build(release)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("index_builder.invert.fill_cells", _stop)
        with pytest.raises(KeyboardInterrupt):
            build_index(release.directory, release.log, SETTINGS)
    monkeypatch.setattr("index_builder.invert.train_centroids", _stop)
    assert build(release) == (whole, 0)


def test_vectors_that_are_not_as_noted_are_encoded_again(release):
    whole, _ = build(release)
    folder = stop_after(6, release)
    vectors_NM = np.load(folder / VECTORS, mmap_mode="r+")
    vectors_NM[np.flatnonzero(vectors_NM.any(axis=1))[:100]] += 1
    vectors_NM.flush()
    again, batches = build(release)
    assert whole == again
    assert batches > 4


@pytest.mark.parametrize("broken", [b"", b"{", b'{"identity": 7}'])
def test_a_record_that_cannot_be_read_counts_for_nothing(release, broken):
    whole, batches = build(release)
    (stop_after(6, release) / RECORD).write_bytes(broken)
    assert build(release) == (whole, batches)
    assert left(release) == []


def test_what_a_build_of_something_else_left_is_removed(release):
    stop_after(6, release)
    _, batches = build(release, BuildSettings(exact_below=0, max_effort=1.0, users=64, seed=1))
    assert batches == 10
    assert left(release) == []


def test_the_index_of_a_build_killed_before_it_swept_up_is_not_written_to(release, monkeypatch):
    monkeypatch.setattr(encode, "CHECKPOINT_S", 1e9)  # so that the next build writes all rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("index_builder.unfinished.shutil.rmtree", _stop)
        with pytest.raises(KeyboardInterrupt):
            build_index(release.directory, release.log, SETTINGS)
    (published,) = release.directory.glob(f"index/2*/{VECTORS}")
    before, embed = published.read_bytes(), encode._embed
    monkeypatch.setattr(encode, "_embed", lambda *given: [2 * part_BM for part_BM in embed(*given)])
    build(release)
    assert before == published.read_bytes()


def test_a_build_that_fails_leaves_nothing(release, monkeypatch):
    monkeypatch.setattr("index_builder.invert.fill_cells", _fail)
    with pytest.raises(OSError, match="full"):
        build_index(release.directory, release.log, SETTINGS)
    assert left(release) == []


def test_nothing_is_taken_from_a_living_build(tmp_path):
    with unfinished(tmp_path, "same") as first, unfinished(tmp_path, "same") as second:
        assert first.folder != second.folder
        assert first.folder.exists()


def _stop(*_given: object) -> None:
    raise KeyboardInterrupt


def _fail(*_given: object) -> None:
    raise OSError("the disk is full")
