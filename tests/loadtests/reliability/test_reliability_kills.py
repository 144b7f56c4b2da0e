"""The kill experiment in small: the real command passes it, and broken states would be noticed."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.release import add_delta, add_exact_index, make_release

from bundle.errors import BundleError
from bundle.store import publish
from index_builder.journal import Journal
from loadtests.reliability.__main__ import main
from loadtests.reliability.kills import BrokenStateError, Seen


def test_no_kill_leaves_a_broken_state(tmp_path, capsys):
    flags = ["--kills", "8", "--items", "200", "--out", str(tmp_path)]
    assert main(["kills", *flags]) == 0
    assert "MISSED" not in capsys.readouterr().out
    figures = json.loads((tmp_path / "kills.json").read_text())["figures"]
    assert figures["kills"] == 8
    assert figures["builds"] >= 2
    assert figures["journal_entries"] >= 2


@pytest.fixture
def seen(tmp_path):
    """A look at a sound folder with two changes, of which a delta has the second."""
    release = make_release(tmp_path, items=40, users=8, requests=12)
    index = add_exact_index(release, attributes=True)
    publish(release.releases, release.run_id, "b1")
    journal = Journal(release.releases)
    for name in ("a", "b"):
        journal.append(pa.table({"item_id": [name], "removed": [True]}))
    add_delta(index, 2, kept=[1], removed=[2])
    seen = Seen(release.bundle)
    seen.look()
    assert (seen.position, len(seen.entries), seen.builds) == (2, 2, {"b1"})
    return seen


def test_changes_that_are_no_longer_served_are_noticed(seen):
    shutil.rmtree(seen.bundle.directory / "delta")
    with pytest.raises(BrokenStateError, match="up to 2 were served, now 0"):
        seen.look()


def test_an_entry_of_the_journal_that_changed_or_vanished_is_noticed(seen):
    entry = seen.bundle.directory.parent / "changes" / "00000002.parquet"
    pq.write_table(pa.table({"item_id": ["c"], "removed": [True]}), entry)
    with pytest.raises(BrokenStateError, match="no longer what it was"):
        seen.look()
    entry.unlink()
    with pytest.raises(BrokenStateError, match="no longer what it was"):
        seen.look()


@pytest.mark.parametrize("file", ["index/b1/items.faiss", "delta/b1/00000002/delta.json"])
def test_a_half_written_file_that_can_be_seen_is_noticed(seen, file):
    (seen.bundle.directory / file).write_bytes(b"{")
    seen.builds.clear()
    with pytest.raises(BundleError):
        seen.look()
