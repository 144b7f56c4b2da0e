"""What is not served: pairs of a wrong size, and what a worker does that starts beside one."""

import json
import logging

import numpy as np
import pytest
from support.release import add_exact_index, make_release

from bundle.errors import MissingFileError
from bundle.store import publish
from service.snapshots.bounds import SizeBounds, SizeError, share_lacking
from service.snapshots.releases import SnapshotHolder


@pytest.fixture
def hold(own_release, tmp_path):
    """A function that starts a holder on the release, and what it was told last."""
    told = []

    def start(**options):
        def listen(snapshot, refused, _):
            told[:] = [snapshot.name, refused]

        options = {"poll_s": 60, "on_change": listen, **options}
        return SnapshotHolder(own_release.releases, tmp_path / "state", **options), told

    return start


def publish_smaller(release):
    """Publish a run of 40 of the 120 items."""
    root = release.releases.parent
    made = make_release(root, run_id="small", items=40, requests=40)
    add_exact_index(made, "b1")
    publish(release.releases, "small", "b1")


@pytest.mark.parametrize(
    "bounds",
    [SizeBounds(min_items=41), SizeBounds(max_items=39), SizeBounds(max_shrink=0.66)],
    ids=["too few", "too many", "too many lost"],
)
def test_a_new_pair_outside_the_bounds_is_refused_and_the_old_one_kept(
    hold, own_release, bounds, caplog
):
    holder, told = hold()
    holder._bounds = bounds
    publish_smaller(own_release)
    holder.look()
    assert told == ["tiny/b1", "size"]
    assert holder.snapshot.name == "tiny/b1"
    assert "cannot serve small/b1 (size), still serving tiny/b1" in caplog.text


def test_a_new_pair_within_the_bounds_is_served(hold, own_release):
    holder, told = hold(bounds=SizeBounds(min_items=40, max_items=120, max_shrink=0.67))
    publish_smaller(own_release)
    holder.look()
    assert told == ["small/b1", None]


def test_the_refusal_ends_when_the_old_pair_is_published_again(hold, own_release):
    holder, told = hold(bounds=SizeBounds(max_shrink=0.1))
    publish_smaller(own_release)
    holder.look()
    assert told == ["tiny/b1", "size"]
    publish(own_release.releases, "tiny", "b1")
    holder.look()
    assert told == ["tiny/b1", None]


def test_a_catalogue_of_the_right_size_and_other_items_lacks_them_all():
    ids_N = np.array([b"a", b"b", b"c", b"d"])
    assert share_lacking(np.array([b"w", b"x", b"y", b"z"]), ids_N) == 1.0
    assert share_lacking(np.array([b"a", b"bb", b"d", b"longer"]), ids_N) == 0.5
    assert share_lacking(ids_N, ids_N) == 0.0


def test_a_worker_that_starts_beside_a_refused_pair_refuses_it_too(hold, own_release):
    bounds = SizeBounds(max_shrink=0.1)
    hold(bounds=bounds)
    publish_smaller(own_release)
    restarted, told = hold(bounds=bounds)
    assert told == ["tiny/b1", "size"]
    assert restarted.snapshot.name == "tiny/b1"


@pytest.mark.parametrize("damage", ["no CURRENT", "half a CURRENT", "no tower"])
def test_a_worker_that_starts_while_nothing_sound_is_published_serves_what_was_served_last(
    hold, own_release, other_release, damage
):
    hold()
    current = own_release.releases / "CURRENT"
    publish(own_release.releases, "other", "b1")
    if damage == "no CURRENT":
        current.unlink()
    elif damage == "half a CURRENT":
        current.write_bytes(current.read_bytes()[:50])
    else:
        (other_release.directory / "user_tower.onnx").unlink()
    restarted, told = hold()
    assert restarted.snapshot.name == "tiny/b1"
    assert told == ["tiny/b1", "malformed" if damage == "half a CURRENT" else "missing"]


def test_with_nothing_left_to_serve_the_published_pair_is_what_the_error_names(
    hold, own_release, other_release
):
    hold()
    publish(own_release.releases, "other", "b1")
    for release in (own_release, other_release):
        (release.directory / "user_tower.onnx").unlink()
    with pytest.raises(MissingFileError, match="other"):
        hold()


def test_a_record_of_the_last_pair_that_cannot_be_read_is_left_aside(hold, tmp_path, caplog):
    hold()
    record = tmp_path / "state" / "last-known-pair.json"
    assert json.loads(record.read_text())["run_id"] == "tiny"
    record.write_text("{")
    assert hold()[0].snapshot.name == "tiny/b1"
    assert "the last known pair is not used" in caplog.text


def test_a_pinned_pair_is_served_whatever_is_published_or_was_served(
    hold, own_release, other_release, caplog
):
    caplog.set_level(logging.INFO)
    hold()
    pinned, told = hold(pin="other/b1", bounds=SizeBounds(max_shrink=0))
    assert told == ["other/b1", None]
    publish(own_release.releases, "tiny", "b1")
    pinned.look()
    assert pinned.snapshot.name == "other/b1"
    assert hold()[0].snapshot.name == "tiny/b1"  # a pin leaves no trace


def test_a_pinned_pair_outside_the_absolute_bounds_is_refused(hold):
    with pytest.raises(SizeError, match="at least 500 items, found 120"):
        hold(pin="tiny/b1", bounds=SizeBounds(min_items=500))
