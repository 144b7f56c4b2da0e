"""A swap gives back what the old pair held, and workers of one machine load one after the other."""

import gc
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.release import user_records
from support.waiting import within

from bundle.store import publish
from service.snapshots.releases import SnapshotHolder
from service.snapshots.turn import my_turn

HOLD_THE_TURN = """
import sys, time
from pathlib import Path
from service.snapshots.turn import my_turn
with my_turn(Path(sys.argv[1])):
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


def test_a_worker_waits_while_another_loads_and_goes_on_when_that_one_is_killed(
    own_release, other_release, tmp_path
):
    holder = SnapshotHolder(own_release.releases, tmp_path / "state", poll_s=0.02)
    command = [sys.executable, "-c", HOLD_THE_TURN, str(tmp_path / "state")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as loading:
        assert loading.stdout.readline() == "loading\n"
        publish(own_release.releases, "tiny", "b1")  # published anew: a new time, hence a new pair
        published = holder.snapshot.current.published_at
        holder.start()
        assert not within(0.3, lambda: holder.snapshot.current.published_at != published)
        loading.send_signal(signal.SIGKILL)
        assert within(5, lambda: holder.snapshot.current.published_at != published)
        holder.stop()


def test_where_the_state_folder_cannot_be_written_nobody_waits(caplog):
    with my_turn(Path("/proc/none")), my_turn(Path("/proc/none")):
        pass
    assert "without waiting for other workers" in caplog.text
