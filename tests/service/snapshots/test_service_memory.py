"""What stays is set aside, and memory that was freed is given back when that is asked for."""

import gc
import re
import weakref
from pathlib import Path

from service.snapshots.memory import give_back_memory, lasting_objects_set_aside


def held():
    """Megabytes that this process alone holds."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return int(re.search(r"^Anonymous: +(\d+)", text, re.MULTILINE)[1]) / 1024


def test_what_was_freed_between_pieces_still_in_use_goes_back():
    pieces = [bytes([number % 255 + 1]) * 1000 for number in range(60_000)]
    kept = pieces[::1000]
    full = held()
    del pieces
    give_back_memory()
    assert held() < full - 30
    assert len(kept) == 60


class Circle:
    """Something that only the collector can free."""

    def __init__(self):
        self.itself = self


def test_a_swap_frees_what_was_set_aside_and_sets_the_rest_aside_again():
    old = Circle()
    freed = weakref.ref(old)
    with lasting_objects_set_aside():
        del old
        gc.collect()
        assert freed() is not None  # the collector passes it over
        give_back_memory()
        assert freed() is None
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_a_worker_sets_its_lasting_objects_aside_while_it_serves(client):
    assert client.get("/readyz").status_code == 200
    assert gc.get_freeze_count() > 10_000
