"""Memory that was freed is given back to the machine when that is asked for."""

import re
from pathlib import Path

from service.snapshots.memory import give_back_memory


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
