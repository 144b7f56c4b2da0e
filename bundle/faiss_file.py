"""`items.faiss` on disk, and how every reader opens it: mapped, so that processes share one copy.

Decisions
- FAISS scans codes of 4 bits in blocks of 32 items, and reads such lists into each process's own
  memory. So they have a file of their own, `items.lists`, laid out as its inverted lists on disk
  are: per cell the blocks, the last one filled up with zeros, then as many ids. `items.faiss` says
  where each cell begins.
- The file is found beside `items.faiss`, whatever path that names, and is never written to.
- Lists are not read ahead: FAISS would start threads for it in every search, and what is searched
  is in memory.
- Of FAISS's ways to scan them the one for a single query is taken, cell by cell: it takes .87 of
  the time of the one that FAISS chooses, which sorts pairs of queries and cells first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from bundle.codes import inverted_in
from bundle.errors import DimensionMismatchError
from bundle.manifest import ITEMS, LISTS

BLOCK = 32  # items
NOWHERE = 2**64 - 1  # where FAISS says that an empty list begins
ID_BYTES = 8
ONE_QUERY = 11  # of its implementations: no pairs to sort; a reservoir, no heap


def write_faiss(index: faiss.Index, directory: Path) -> None:
    """Write an index that was built in memory."""
    stored = inverted_in(index)
    if not isinstance(stored, faiss.IndexIVFPQFastScan):
        faiss.write_index(index, str(directory / ITEMS))
        return
    lists, owned = stored.invlists, stored.own_invlists
    on_disk = _write_lists(stored, directory / LISTS)
    stored.own_invlists, stored.invlists = False, on_disk
    try:
        faiss.write_index(index, str(directory / ITEMS))
    finally:
        stored.invlists, stored.own_invlists = lists, owned


def open_faiss(directory: Path) -> faiss.Index:
    """Map the files that `write_faiss` left.

    Raises DimensionMismatchError where the two do not belong together, RuntimeError if FAISS cannot
    read them.
    """
    path, lists = str(directory / ITEMS), directory / LISTS
    flags = faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY
    if not lists.exists():
        return faiss.read_index(path, flags)
    index = faiss.read_index(path, flags | faiss.IO_FLAG_SKIP_IVF_DATA)
    stored = inverted_in(index)
    if isinstance(stored, faiss.IndexIVFPQFastScan):
        stored.implem = ONE_QUERY
    mapped = _lists(faiss.extract_index_ivf(index))
    _require_within(mapped, lists.stat().st_size)
    mapped.filename, mapped.prefetch_nthread = str(lists), 0
    mapped.do_mmap()
    return index


def _require_within(lists: faiss.OnDiskInvertedLists, length: int) -> None:
    """Hold what `items.faiss` says of each cell against the length of the other file."""
    item, ends = lists.code_size + ID_BYTES, [lists.totsize]
    for cell in range(lists.nlist):
        place = lists.lists.at(cell)  # type: ignore[attr-defined]  # a vector of C++, not a list
        if place.size > place.capacity or place.capacity % BLOCK:
            ends.append(NOWHERE)
        elif place.size:
            ends.append(place.offset + place.capacity * item)
    if lists.totsize != length or max(ends) > length:
        found = f"cells up to {max(ends)} of {lists.totsize}"
        raise DimensionMismatchError(LISTS, "", expected=f"{length} bytes of cells", found=found)


def _write_lists(index: faiss.IndexIVFPQFastScan, path: Path) -> faiss.OnDiskInvertedLists:
    """Write the codes and ids of each cell; what says where they are."""
    packed = _lists(index)
    places, end = faiss.OnDiskOneListVector(), 0  # type: ignore[attr-defined]  # not in its stubs
    with path.open("wb") as file:
        for cell in range(index.nlist):
            place = faiss.OnDiskOneList()
            place.size = packed.list_size(cell)
            place.capacity = -(-place.size // BLOCK) * BLOCK
            place.offset = end if place.size else NOWHERE
            places.push_back(place)
            if place.size:
                ids = np.zeros(place.capacity, np.int64)
                ids[: place.size] = faiss.rev_swig_ptr(packed.get_ids(cell), place.size)
                length = place.capacity * index.code_size
                file.write(faiss.rev_swig_ptr(packed.get_codes(cell), length).data)
                file.write(ids.data)
            end += place.capacity * (index.code_size + ID_BYTES)
    lists = faiss.OnDiskInvertedLists()
    lists.nlist, lists.code_size, lists.lists = index.nlist, index.code_size, places
    lists.filename, lists.totsize, lists.read_only = path.name, end, True
    return lists


def _lists(index: faiss.IndexIVF) -> Any:  # noqa: ANN401  # of several types, all unchecked
    """As what they are."""
    assert index.invlists is not None  # noqa: S101  # for mypy: it has them
    return faiss.downcast_InvertedLists(index.invlists)
