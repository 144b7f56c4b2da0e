"""What is served, and when it changes: only whole, verified pairs, and never mid-request."""

import json
import shutil
import threading
import time
from pathlib import Path

import faiss
import numpy as np
import pytest
from support.release import add_exact_index, user_records
from support.waiting import within

from bundle.errors import BundleError, DimensionMismatchError, NotPublishedError
from bundle.files import describe_files, sha256
from bundle.store import publish, read_index
from service.retrieval.index import open_index
from service.retrieval.retriever import Query, retrieve
from service.snapshots.golden import GoldenCheckError
from service.snapshots.releases import SnapshotHolder, load_snapshot


def reseal(release, build_id):
    """Make the manifest of an index, and CURRENT, agree with files that a test has changed."""
    index = release.directory / "index" / build_id
    document = json.loads((index / "index.json").read_text())
    document["files"] = [
        entry.model_dump()
        for entry in describe_files(index, [entry["path"] for entry in document["files"]])
    ]
    (index / "index.json").write_text(json.dumps(document))
    current = json.loads((release.releases / "CURRENT").read_text())
    current["index_sha256"] = sha256(index / "index.json")
    (release.releases / "CURRENT").write_text(json.dumps(current))


def test_a_newly_published_index_is_served_without_a_failed_or_mixed_answer(
    open_client, own_release
):
    client = open_client(releases=own_release.releases, releases_poll_s=0.02)
    user, answers, stop = user_records(own_release)[0], [], threading.Event()

    def keep_asking():
        while not stop.is_set():
            answers.append(client.post("/retrieve", json={"user": user, "k": 5}))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    add_exact_index(own_release, "b2")
    publish(own_release.releases, own_release.run_id, "b2")
    assert within(10, lambda: client.get("/readyz").json()["build_id"] == "b2")
    time.sleep(0.05)
    stop.set()
    asking.join()
    assert {answer.status_code for answer in answers} == {200}
    served = [answer.json()["build_id"] for answer in answers]
    assert served == sorted(served)
    assert set(served) == {"b1", "b2"}
    assert 'csmf_snapshot_workers{build_id="b2",run_id="tiny"} 1.0' in client.get("/metrics").text


def test_publishing_the_older_pair_again_is_a_rollback(own_release, tmp_path):
    add_exact_index(own_release, "b2")
    holder = SnapshotHolder(own_release.releases, tmp_path, poll_s=60)
    for build_id in ("b2", "b1"):
        publish(own_release.releases, own_release.run_id, build_id)
        holder.look()
        assert holder.snapshot.build_id == build_id


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("truncated", "malformed"),
        ("missing", "missing"),
        ("CURRENT is no JSON", "malformed"),
        ("no CURRENT", "missing"),
    ],
)
def test_a_pair_that_cannot_be_loaded_changes_nothing_but_the_log_and_a_gauge(
    open_client, own_release, damage, reason, caplog
):
    client = open_client(releases=own_release.releases, releases_poll_s=0.02)
    add_exact_index(own_release, "b2")
    file = own_release.directory / "index" / "b2" / "items.faiss"
    current = own_release.releases / "CURRENT"
    kept = current.read_text()
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "missing":
        file.unlink()
    if damage in ("truncated", "missing"):
        index = own_release.directory / "index" / "b2" / "index.json"
        changed = {**json.loads(kept), "build_id": "b2", "index_sha256": sha256(index)}
        current.write_text(json.dumps(changed))
    elif damage == "CURRENT is no JSON":
        current.write_text("{")
    else:
        current.unlink()
    failed = f'csmf_snapshot_refused{{reason="{reason}"}} 1.0'
    assert within(5, lambda: failed in client.get("/metrics").text)
    assert client.get("/readyz").json()["build_id"] == "b1"
    assert client.post("/retrieve", json={"user": {}}).status_code == 200
    time.sleep(0.1)  # several looks
    said = [record.getMessage() for record in caplog.records]
    assert any("still serving tiny/b1" in line for line in said)
    assert len(said) == len(set(said))
    current.write_text(kept)
    assert within(5, lambda: failed not in client.get("/metrics").text)


def test_nothing_published_is_refused_with_the_command_to_run(tmp_path):
    with pytest.raises(NotPublishedError, match=r"csmf-index --release .* --publish"):
        load_snapshot(tmp_path)


def test_an_index_whose_file_has_another_shape_or_metric_is_refused(own_release):
    """SPEC rule I7."""
    for wrong in (faiss.IndexFlatL2(16), faiss.IndexFlatIP(15)):
        wrong.add(np.zeros((120, wrong.d), np.float32))
        file = own_release.directory / "index" / "b1" / "items.faiss"
        faiss.write_index(wrong, str(file))
        reseal(own_release, "b1")
        with pytest.raises(DimensionMismatchError, match=r"items\.faiss"):
            load_snapshot(own_release.releases)


def test_a_pair_whose_vectors_were_swapped_fails_its_golden_queries(own_release):
    """SPEC rule I8."""
    directory = own_release.directory / "index" / "b1"
    vectors_NM = np.load(directory / "item_vectors.npy")[::-1].copy()
    np.save(directory / "item_vectors.npy", vectors_NM)
    reseal(own_release, "b1")
    with pytest.raises(GoldenCheckError, match="golden quer"):
        load_snapshot(own_release.releases)


def test_a_pair_whose_index_finds_other_items_fails_its_golden_queries(own_release):
    directory = own_release.directory / "index" / "b1"
    flat = faiss.IndexFlatIP(16)
    flat.add(-np.load(directory / "item_vectors.npy"))
    faiss.write_index(flat, str(directory / "items.faiss"))
    reseal(own_release, "b1")
    with pytest.raises(GoldenCheckError, match=r"recall of at least 1\.000"):
        load_snapshot(own_release.releases)


def test_a_golden_query_with_weights_of_other_stages_is_refused_by_name(own_release):
    file = own_release.directory / "index" / "b1" / "golden.json"
    golden = json.loads(file.read_text())
    golden["cases"][0]["weights"] = {"view": 1.0}
    file.write_text(json.dumps(golden))
    reseal(own_release, "b1")
    with pytest.raises(GoldenCheckError, match="one of the stages"):
        load_snapshot(own_release.releases)


def test_a_release_copied_elsewhere_serves_the_same(own_release, tmp_path):
    shutil.copytree(own_release.releases, tmp_path / "copy")
    user = user_records(own_release)[0]
    lists = []
    for releases in (own_release.releases, tmp_path / "copy"):
        snapshot = load_snapshot(releases)
        lists.append(retrieve(snapshot, Query(user, snapshot.default_weights, 10)).item_ids)
    assert lists[0] == lists[1]


def test_every_broken_pair_is_a_bundle_error_never_a_crash(own_release):
    names = sorted(path for path in own_release.directory.rglob("*") if path.is_file())
    for path in names:
        kept = path.read_bytes()
        path.write_bytes(kept[: len(kept) // 2])
        with pytest.raises(BundleError):
            load_snapshot(own_release.releases)
        path.write_bytes(kept)
    assert load_snapshot(own_release.releases).build_id == "b1"


def test_the_index_file_is_mapped_not_read(own_release):
    index_file = own_release.directory / "index" / "b1" / "items.faiss"
    index = open_index(read_index(index_file.parent, own_release.bundle))
    assert str(index_file) in Path("/proc/self/maps").read_text()
    assert index.faiss_index.ntotal == 120


def test_what_was_checked_is_served_by_the_next_holder_and_by_no_other(own_release, tmp_path):
    def hold():
        return SnapshotHolder(own_release.releases, tmp_path / "state", poll_s=60)

    checked = hold()
    checked.hand_over()
    assert hold().snapshot.files is checked.snapshot.files
    assert hold().snapshot.files is not checked.snapshot.files


def test_what_was_checked_is_left_aside_once_another_pair_is_published(own_release, tmp_path):
    checked = SnapshotHolder(own_release.releases, tmp_path / "state", poll_s=60)
    checked.hand_over()
    add_exact_index(own_release, "b2")
    publish(own_release.releases, own_release.run_id, "b2")
    for _ in range(2):
        holder = SnapshotHolder(own_release.releases, tmp_path / "state", poll_s=60)
        assert holder.snapshot.build_id == "b2"
