"""An index is found again as it was written, whatever its codes, and mapped."""

import re
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from bundle.codes import inverted_in
from bundle.errors import DimensionMismatchError
from bundle.faiss_file import ONE_QUERY, open_faiss, write_faiss
from bundle.manifest import ITEMS, LISTS

ITEMS_N, DIM, CELLS = 3000, 16, 20
KINDS = {
    "Flat": [],
    "IVF20,SQfp16": [],
    "IVF20,SQ8": [],
    "IVF20,PQ16x4fsr": [LISTS],
    "RR12,IVF20,PQ12x4fsr": [LISTS],  # behind the queries' coordinates
}


@pytest.fixture(scope="module")
def items_NM():
    return np.random.default_rng(0).normal(size=(ITEMS_N, DIM)).astype(np.float32)


def made(kind: str, items_NM) -> faiss.Index:
    index = faiss.index_factory(DIM, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(items_NM)
    index.add(items_NM)
    return index


def searched(index: faiss.Index, queries_BM, cells: int = 5):
    stored = inverted_in(index)
    if isinstance(stored, faiss.IndexIVFPQFastScan):
        stored.implem = ONE_QUERY  # scores of 8 bits are often equal: others leave out other items
    of_cells = isinstance(stored, faiss.IndexIVF)
    parameters = faiss.SearchParametersIVF(nprobe=cells) if of_cells else None
    return index.search(queries_BM, 40, params=parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_of_the_file_is_that_of_the_index(tmp_path, items_NM, kind):
    index = made(kind, items_NM)
    before = searched(index, items_NM[:50])
    write_faiss(index, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [ITEMS, *KINDS[kind]]
    for whose in (open_faiss(tmp_path), index):  # whoever wrote it goes on with it
        scores, ids = searched(whose, items_NM[:50])
        assert np.array_equal(ids, before[1])
        assert np.array_equal(scores, before[0])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind]])
def test_lists_of_four_bits_are_scanned_for_one_query(tmp_path, items_NM, kind):
    write_faiss(made(kind, items_NM), tmp_path)
    assert inverted_in(open_faiss(tmp_path)).implem == ONE_QUERY


@pytest.mark.parametrize("cells", [1, 3, CELLS])
def test_cells_of_any_size_come_back_whole(tmp_path, items_NM, cells):
    """One without an item, one of a block, one with an item more."""
    index = faiss.index_factory(DIM, f"IVF{CELLS},PQ16x4fsr", faiss.METRIC_INNER_PRODUCT)
    index.train(items_NM)
    cells_N = index.quantizer.search(items_NM, 1)[1][:, 0]
    chosen = np.concatenate(
        [np.flatnonzero(cells_N == cell)[:count] for cell, count in ((0, 32), (1, 33), (2, 1))]
    )
    index.add_with_ids(items_NM[chosen], chosen)
    write_faiss(index, tmp_path)
    before, after = (searched(each, items_NM[:20], cells) for each in (index, open_faiss(tmp_path)))
    assert np.array_equal(before[1], after[1])
    if cells == CELLS:
        assert set(after[1].ravel()) - {-1} <= set(chosen.tolist())


def test_the_lists_are_found_beside_the_file_wherever_that_was_moved(tmp_path, items_NM):
    write_faiss(made("IVF20,PQ16x4fsr", items_NM), tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in (ITEMS, LISTS):
        (tmp_path / name).rename(elsewhere / name)
    assert searched(open_faiss(elsewhere), items_NM[:5])[1].shape == (5, 40)


@pytest.mark.parametrize("change", [lambda data: data[:-8], lambda data: data + b"\0" * 8])
def test_lists_of_another_length_are_refused(tmp_path, items_NM, change):
    """SPEC rule L1."""
    write_faiss(made("IVF20,PQ16x4fsr", items_NM), tmp_path)
    lists = tmp_path / LISTS
    lists.write_bytes(change(lists.read_bytes()))
    with pytest.raises(DimensionMismatchError, match=r"items\.lists.*bytes"):
        open_faiss(tmp_path)


def test_lists_beside_an_index_that_has_its_own_are_refused(tmp_path, items_NM):
    write_faiss(made("IVF20,SQfp16", items_NM), tmp_path)
    (tmp_path / LISTS).write_bytes(b"\0" * 640)
    with pytest.raises(RuntimeError, match="read_InvertedLists"):
        open_faiss(tmp_path)


@pytest.mark.parametrize("wrong", [{"size": 10**6}, {"capacity": 33}, {"offset": 10**9}])
def test_a_cell_that_lies_outside_of_its_file_is_refused(tmp_path, items_NM, wrong):
    """SPEC rule L1."""
    write_faiss(made("IVF20,PQ16x4fsr", items_NM), tmp_path)
    flags = faiss.IO_FLAG_SKIP_IVF_DATA | faiss.IO_FLAG_READ_ONLY
    index = faiss.read_index(str(tmp_path / ITEMS), flags)
    lists, places = faiss.downcast_InvertedLists(index.invlists), faiss.OnDiskOneListVector()
    for cell in range(CELLS):
        told, place = lists.lists.at(cell), faiss.OnDiskOneList()
        for name in ("size", "capacity", "offset"):
            found = getattr(told, name)
            setattr(place, name, wrong.get(name, found) if cell == 3 else found)
        places.push_back(place)
    lists.lists = places
    faiss.write_index(index, str(tmp_path / ITEMS))
    with pytest.raises(DimensionMismatchError, match=r"items\.lists"):
        open_faiss(tmp_path)


PROBE = """
import re, sys
from pathlib import Path
import numpy as np
from bundle.faiss_file import open_faiss
def own():
    told = Path("/proc/self/smaps_rollup").read_text()
    return int(re.search(r"^Anonymous: +(\\d+)", told, re.M).group(1))
before = own()
index = open_faiss(Path(sys.argv[1]))
index.nprobe = index.nlist
index.search(np.ones((1, index.d), np.float32), 10)
print(own() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells it")
def test_codes_of_four_bits_take_no_memory_of_a_process_own(tmp_path):
    many_NM = np.random.default_rng(1).normal(size=(400_000, 32)).astype(np.float32)
    index = faiss.index_factory(32, "IVF16,PQ32x4fsr", faiss.METRIC_INNER_PRODUCT)
    index.train(many_NM[:20_000])
    index.add(many_NM)
    write_faiss(index, tmp_path)
    assert (tmp_path / LISTS).stat().st_size > 9_000_000
    told = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(re.findall(r"-?\d+", told.stdout)[-1]) < 3000  # KiB
