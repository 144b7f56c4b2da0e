"""What was hashed is not hashed again until it changes; what changed is refused by name."""

import math
import os
import time
from pathlib import Path

import pytest

from bundle import files
from bundle.errors import HashMismatchError
from bundle.store import pair_folders, read_current
from service.snapshots import receipts as module
from service.snapshots import releases
from service.snapshots.loading import load_snapshot
from service.snapshots.receipts import (
    DAY_S,
    FILE,
    Receipts,
    hashed_meanwhile,
    kept_receipts,
)
from service.snapshots.releases import SnapshotHolder


@pytest.fixture
def hashed(monkeypatch):
    """The names of the files that are hashed."""
    names, sha256 = [], files.sha256
    monkeypatch.setattr(module, "sha256", lambda path: (names.append(path.name), sha256(path))[1])
    return names


@pytest.fixture
def settled(own_release):
    """A release whose files were not written just now."""
    time.sleep(module.MOMENT_S + 0.1)
    return own_release


def load(release, state):
    with kept_receipts(state) as receipts:
        return load_snapshot(release.releases, digest_of=receipts.digest)


def test_who_loads_later_hashes_nothing_again(settled, tmp_path, hashed):
    load(settled, tmp_path)
    assert {"items.faiss", "user_tower.onnx", "features.json"} <= set(hashed)
    hashed.clear()
    load(settled, tmp_path)
    assert hashed == []


def test_a_holder_leaves_receipts_to_the_next_one(settled, tmp_path, hashed):
    SnapshotHolder(settled.releases, tmp_path / "state", poll_s=60)
    assert len(set(hashed)) > 8
    hashed.clear()
    SnapshotHolder(settled.releases, tmp_path / "state", poll_s=60)
    assert hashed == []


def test_a_byte_changed_in_place_with_its_time_set_back_is_refused_by_name(settled, tmp_path):
    load(settled, tmp_path)
    path = load(settled, tmp_path).files.faiss_file
    found, content = path.stat(), bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    for _ in range(2):  # a receipt for what it is now is not one for what it should be
        with pytest.raises(HashMismatchError, match=r"items\.faiss"):
            load(settled, tmp_path)


def test_a_file_replaced_by_one_of_equal_length_is_refused_by_name(settled, tmp_path):
    path = load(settled, tmp_path).files.faiss_file
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    other = path.with_name("other")
    other.write_bytes(content)
    other.rename(path)
    with pytest.raises(HashMismatchError, match=r"items\.faiss"):
        load(settled, tmp_path)


def test_a_receipt_is_good_for_a_day_and_not_from_the_future(
    settled, tmp_path, hashed, monkeypatch
):
    load(settled, tmp_path)
    now = time.time()
    for moved in (DAY_S + 10, -3600):
        hashed.clear()
        monkeypatch.setattr(module.time, "time", lambda moved=moved: now + moved)
        Receipts(tmp_path).digest(settled.directory / "features.json")
        assert hashed == ["features.json"]


def test_a_worker_that_is_started_beside_others_hashes_nothing_however_long_they_serve(
    settled, tmp_path, hashed, monkeypatch
):
    """csmf-serve, which starts it, has looked at the pair; a start of that looks again."""
    state, now = tmp_path / "state", time.time()
    SnapshotHolder(settled.releases, state, poll_s=60)
    monkeypatch.setattr(module.time, "time", lambda: now + 30 * DAY_S)
    hashed.clear()
    with monkeypatch.context() as patch:
        patch.setattr(releases.multiprocessing, "parent_process", lambda: "csmf-serve")
        SnapshotHolder(settled.releases, state, poll_s=60)
    assert hashed == []
    SnapshotHolder(settled.releases, state, poll_s=60)
    assert len(set(hashed)) > 8


def test_receipts_of_what_is_served_outlive_those_of_newer_pairs(
    settled, tmp_path, hashed, monkeypatch
):
    load(settled, tmp_path)
    now = time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + 30 * DAY_S)
    (tmp_path / "newer").write_bytes(b"1")
    with kept_receipts(tmp_path) as receipts:
        receipts.digest(tmp_path / "newer")
    hashed.clear()
    Receipts(tmp_path, math.inf).digest(settled.directory / "features.json")
    assert hashed == []


def test_a_file_written_just_now_gets_no_receipt(own_release, tmp_path, hashed):
    path = own_release.directory / "bundle.json"
    path.write_bytes(path.read_bytes())
    for _ in range(2):
        with kept_receipts(tmp_path) as receipts:
            receipts.digest(path)
    assert hashed == ["bundle.json"] * 2


@pytest.mark.parametrize("broken", [b"", b"{", b'{"files": 3}', b'{"files": {"a": {}}}'])
def test_receipts_that_cannot_be_read_cost_a_hash_and_nothing_else(
    settled, tmp_path, hashed, broken
):
    load(settled, tmp_path)
    (tmp_path / FILE).write_bytes(broken)
    hashed.clear()
    assert load(settled, tmp_path).current == read_current(settled.releases)
    assert "items.faiss" in hashed


def test_where_the_state_folder_cannot_be_written_files_are_hashed_each_time(
    settled, tmp_path, hashed
):
    for _ in range(2):
        assert load(settled, tmp_path / "nowhere").build_id == "b1"
    assert hashed.count("items.faiss") == 2


def test_what_is_hashed_meanwhile_is_known_afterwards(settled, tmp_path, hashed):
    current = read_current(settled.releases)
    folders = pair_folders(settled.releases, current.run_id, current.build_id)
    with hashed_meanwhile(tmp_path / "state", folders):
        pass
    assert {"items.faiss", "user_tower.onnx"} <= set(hashed)
    hashed.clear()
    load(settled, tmp_path / "state")
    assert hashed == []


def test_a_start_that_fails_at_once_does_not_hash_on(settled, tmp_path, hashed, monkeypatch):
    monkeypatch.setattr(module.os, "cpu_count", lambda: 1)
    many = [tmp_path / f"{number}" for number in range(50)]
    for folder in many:
        folder.mkdir()
        (folder / "file").write_bytes(bytes(1 << 20))
    with pytest.raises(KeyError), hashed_meanwhile(tmp_path / "state", many):
        raise KeyError
    assert len(hashed) < 40


def test_where_no_receipt_can_be_left_nothing_is_hashed_meanwhile(settled, hashed, caplog):
    with hashed_meanwhile(Path("/proc/none"), [settled.directory]):
        pass
    assert hashed == []
    assert caplog.text == ""
