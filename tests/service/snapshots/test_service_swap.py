"""A swap gives back what the old pair held, and workers of one machine load one after the other."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.release import user_records
from support.waiting import within

from bundle.store import publish, read_current
from service.snapshots.releases import SnapshotHolder
from service.snapshots.turn import Turn

HOLD_THE_TURN = """
import sys, time
from pathlib import Path
from bundle.store import read_current
from service.snapshots.turn import Turn
with Turn(Path(sys.argv[1])).taken(read_current(Path(sys.argv[2]))):
    print("loading", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def asking(open_client, own_release):
    """A client of a service that is asked all the time."""
    client = open_client(releases=own_release.releases, releases_poll_s=0.02, max_shrink=1.0)
    user, stop = user_records(own_release)[0], threading.Event()

    def keep_asking():
        while not stop.is_set():
            client.post("/retrieve", json={"user": user, "objective_scores": True})

    thread = threading.Thread(target=keep_asking)
    thread.start()
    yield client
    stop.set()
    thread.join()


def test_after_a_swap_no_file_of_the_old_pair_is_mapped_while_requests_run(
    asking, own_release, other_release
):
    old = str(own_release.directory)
    assert old in Path("/proc/self/maps").read_text()
    gc.disable()  # nothing may wait for a collection that comes when it likes
    try:
        publish(own_release.releases, "other", "b1")
        assert within(10, lambda: asking.get("/readyz").json()["run_id"] == "other")
        assert within(2, lambda: old not in Path("/proc/self/maps").read_text())
    finally:
        gc.enable()


@contextmanager
def loading_elsewhere(release, state_dir):
    """A process that loads the published pair, and does not end by itself."""
    command = [sys.executable, "-c", HOLD_THE_TURN, str(state_dir), str(release.releases)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as loading:
        assert loading.stdout.readline() == "loading\n"
        yield loading
        loading.kill()


def test_a_worker_waits_while_another_loads_and_goes_on_when_that_one_is_killed(
    own_release, other_release, tmp_path
):
    holder = SnapshotHolder(own_release.releases, tmp_path / "state", poll_s=0.02)
    with loading_elsewhere(own_release, tmp_path / "state") as loading:
        publish(own_release.releases, "tiny", "b1")  # published anew: a new time, hence a new pair
        published = holder.snapshot.current.published_at
        holder.start()
        assert not within(0.3, lambda: holder.snapshot.current.published_at != published)
        loading.send_signal(signal.SIGKILL)
        assert within(5, lambda: holder.snapshot.current.published_at != published)
        holder.stop()


def test_where_the_state_folder_cannot_be_written_nobody_waits(own_release, caplog):
    current = read_current(own_release.releases)
    with Turn(Path("/proc/none")).taken(current), Turn(Path("/proc/none")).taken(current):
        pass
    assert "without waiting for other workers" in caplog.text


def test_a_full_disk_keeps_nobody_from_loading(own_release, tmp_path):
    (tmp_path / "loading.lock").symlink_to("/dev/full")
    with Turn(tmp_path).taken(read_current(own_release.releases), whatever_happened=True):
        pass


@pytest.fixture
def deadly(own_release, other_release, tmp_path):
    """A holder of the first release, while a worker died of loading the other one."""
    told = []
    holder = SnapshotHolder(
        own_release.releases,
        tmp_path / "state",
        poll_s=60,
        on_change=lambda snapshot, refused, _: told.append((snapshot.run_id, refused)),
    )
    publish(own_release.releases, "other", "b1")
    with loading_elsewhere(own_release, tmp_path / "state"):
        pass
    return holder, told


def test_a_pair_that_killed_its_loader_is_left_alone_until_it_is_published_anew(
    deadly, own_release, caplog
):
    holder, told = deadly
    holder.look()
    assert told[-1] == ("tiny", "crashed")
    assert "a worker died while it loaded other/b1" in caplog.text
    publish(own_release.releases, "other", "b1")
    holder.look()
    assert told[-1] == ("other", None)


def test_who_takes_the_dead_ones_place_does_not_make_the_others_die_too(
    deadly, own_release, tmp_path
):
    holder, told = deadly
    another = SnapshotHolder(own_release.releases, tmp_path / "state", poll_s=60)
    assert another.snapshot.run_id == "tiny"
    holder.look()
    assert told[-1] == ("tiny", "crashed")


@pytest.mark.parametrize("ago_s", [601, -3600])
def test_a_pair_that_killed_its_loader_is_tried_again_after_a_while(deadly, tmp_path, ago_s):
    """Or at once, where the clock was set back since."""
    holder, told = deadly
    then = time.time() - ago_s
    os.utime(tmp_path / "state" / "loading.lock", (then, then))
    holder.look()
    assert told[-1] == ("other", None)


def test_who_is_told_to_end_while_it_loads_takes_back_its_own_note_alone(
    deadly, own_release, tmp_path
):
    holder, told = deadly
    turn = Turn(tmp_path / "state")
    with turn.taken(holder.snapshot.current):
        turn.leave()
    holder.look()
    assert told[-1] == ("tiny", "crashed")


def test_who_is_told_to_end_while_it_waits_leaves_the_loaders_note(own_release, tmp_path):
    turn, current = Turn(tmp_path), read_current(own_release.releases)

    def wait():
        with turn.taken(current, whatever_happened=True):
            pass

    with loading_elsewhere(own_release, tmp_path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.1)
        turn.leave()
        assert b"tiny" in (tmp_path / "loading.lock").read_bytes()
    waiting.join()


def test_who_has_nothing_else_to_serve_tries_a_pair_whatever_happened(own_release, tmp_path):
    with loading_elsewhere(own_release, tmp_path / "state"):
        pass
    for _ in range(2):
        holder = SnapshotHolder(own_release.releases, tmp_path / "state", poll_s=60)
        assert holder.snapshot.name == "tiny/b1"


def test_a_load_that_ends_in_an_error_did_not_kill_its_loader(own_release, tmp_path):
    current = read_current(own_release.releases)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), Turn(tmp_path).taken(current):
            raise ZeroDivisionError
