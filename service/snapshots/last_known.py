"""The pair that this machine served last, kept in the state folder as CURRENT named it.

A worker that starts while CURRENT names nothing sound serves this pair, as the workers beside it
do; and it holds a new pair against these items, as they do.
"""

from __future__ import annotations

import logging
from pathlib import Path

from bundle.errors import BundleError
from bundle.files import load_array, read_json
from bundle.manifest import Current
from bundle.store import INDEXES
from bundle.writing import to_json, write_atomically
from service.snapshots.bounds import Ids

log = logging.getLogger(__name__)

FILE = "last-known-pair.json"


def read_last_known(state_dir: Path) -> Current | None:
    """The pair served last; None if there was none, or its record cannot be read."""
    if not (state_dir / FILE).exists():
        return None
    try:
        return read_json(state_dir / FILE, Current)[0]
    except (BundleError, OSError) as error:
        log.warning("the last known pair is not used: %s", error)
        return None


def write_last_known(state_dir: Path, current: Current) -> None:
    """Remember a pair that is served from now on; a full disk is no reason not to serve it."""
    try:
        write_atomically(state_dir / FILE, to_json(current))
    except OSError as error:
        log.warning("the pair now served is not remembered for a restart: %s", error)


def ids_of(releases: Path, pair: Current) -> Ids | None:
    """Sorted item ids of a pair, mapped; None where it no longer is."""
    file = releases / pair.run_id / INDEXES / pair.build_id / "item_ids.npy"
    try:
        return load_array(file, "S", (None,))
    except (BundleError, OSError):
        return None
