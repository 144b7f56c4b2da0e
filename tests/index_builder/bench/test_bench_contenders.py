"""Every contender finds what there is, given effort; one that is not installed is no crash."""

import importlib
from contextlib import ExitStack

import faiss
import numpy as np
import pytest

from bundle.scoring import exact_top_k, scale_query
from index_builder.bench.contenders import ours
from index_builder.bench.contenders.contender import Variant
from index_builder.bench.contenders.extended import extended, extending
from index_builder.bench.contenders.faiss_factory import FILE, write_inverted
from index_builder.bench.entrants import CONTENDERS, admit, chosen
from index_builder.bench.vectors import from_generator
from index_builder.bench.worker import LeftOutError, Worker
from index_builder.calibrate import recall_by_score
from index_builder.progress import Phases

ITEMS, K = 4000, 20
CEILINGS = {"reciprocal ranks": 0.2}  # of what fusion loses, no effort brings back


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("vectors")
    return from_generator(ITEMS, 12, scratch, np.random.default_rng(0))


@pytest.mark.parametrize("name", CONTENDERS)
def test_with_the_largest_effort_a_contender_finds_nearly_all(name, drawn, tmp_path):
    library = {"scann_tree": "scann"}.get(name, name.split("_")[0])
    if name.split("_")[-1] in {"graph", "tree"}:
        pytest.importorskip(library)
    contender = importlib.import_module(f"index_builder.bench.contenders.{name}")
    given = drawn.given
    queries_QM = scale_query(drawn.asking_UM, given.weights_S, given.segments)
    _, scores_QK = exact_top_k(queries_QM, given.read_items(), K)
    for variant in chosen(contender.VARIANTS, "usual"):
        directory = tmp_path / variant.files
        if not directory.exists():
            directory.mkdir()
            contender.build(given, variant, directory, 1)
        opened = contender.open_index(given, variant, directory)
        found = [opened.search(query_M, K, opened.most) for query_M in queries_QM]
        assert all(len(rows) == K and rows.dtype == np.int64 for rows in found)
        recall = recall_by_score(np.stack(found), scores_QK, queries_QM, given.read_items())
        assert recall > CEILINGS.get(variant.name, 0.75), variant.name


def test_files_that_share_a_k_means_are_those_that_the_factory_makes_alone(drawn, tmp_path):
    items_NM = drawn.given.read_items()
    [query_M] = drawn.asking_UM[:1]
    for codes in ("SQfp16", "Flat", "PQ32x4fsr,Refine(SQfp16)"):
        (directory := tmp_path / codes).mkdir()
        seconds = write_inverted(drawn.given, 2, codes, directory)
        assert seconds["k-means, shared"] > 0
        shared = faiss.read_index(str(directory / FILE))
        cells = faiss.extract_index_ivf(shared).nlist
        alone = faiss.index_factory(64, f"IVF{cells},{codes}", faiss.METRIC_INNER_PRODUCT)
        alone.train(items_NM)
        alone.add(items_NM)
        lists, centroids = [], []
        for index in (shared, alone):
            inverted = faiss.extract_index_ivf(index)
            inverted.nprobe = cells
            lists.append(index.search(query_M[None], K)[1])
            centroids.append(faiss.downcast_index(inverted.quantizer).reconstruct_n(0, cells))
        np.testing.assert_array_equal(*lists)
        np.testing.assert_array_equal(*centroids)


@pytest.mark.parametrize(("multiple", "width"), [(1, 65), (8, 72)])
def test_a_dimension_more_makes_the_nearest_of_the_best(drawn, multiple, width):
    items_NM, [query_M] = drawn.given.read_items(), drawn.asking_UM[:1]
    items_NX = extended(items_NM, "l2", multiple)
    assert items_NX.shape[1] == width
    query_X = extending(len(query_M), "l2", multiple)(query_M)
    distances_N = np.square(items_NX - query_X).sum(axis=1)
    nearest, best = np.argsort(distances_N)[:50], np.argsort(-(items_NM @ query_M))[:50]
    np.testing.assert_array_equal(nearest, best)
    np.testing.assert_array_equal(extended(items_NM, "ip"), items_NM)


def test_only_variants_of_the_first_ones_files_take_part_unless_all_are_wanted():
    first, other = Variant("a", {"cells": 1}), Variant("c", {"cells": 2})
    same = Variant("b", {"cells": 1}, {"refined": 2})
    usual = Variant("fp16", {"codes": 1}, usual="always")
    every = (first, same, other, usual, long := Variant("long", {"codes": 2}, usual="heavy"))
    assert chosen(every, "fp16") == (usual,)
    assert chosen(every, "usual") == (first, same, usual)
    assert chosen(every, "heavy") == (first, same, usual, long)
    assert chosen(every, "all") == every


def test_ours_stores_equal_vectors_once_and_finds_each_of_their_items(tmp_path):
    drawn = from_generator(ITEMS, 12, tmp_path, np.random.default_rng(0))
    items_NM = np.load(drawn.given.items)
    items_NM[::40] = items_NM[0]
    np.save(drawn.given.items, items_NM)
    for variant in ours.VARIANTS:
        directory = tmp_path / variant.name
        directory.mkdir()
        ours.build(drawn.given, variant, directory, 1)
        opened = ours.open_index(drawn.given, variant, directory)
        assert opened.index.ntotal == ITEMS - ITEMS // 40 + 1
        found = opened.search(items_NM[0] * 100, ITEMS, opened.most)
        assert sorted(found) == list(range(ITEMS))


def test_a_contender_whose_library_is_missing_is_left_out_with_the_reason():
    with (
        Worker("nobody", {0}, 1) as worker,
        pytest.raises(LeftOutError, match="not installed here"),
    ):
        worker.describe()


def test_a_library_that_ends_its_process_is_left_out(monkeypatch, tmp_path):
    (tmp_path / "scann.py").write_text("import os; os._exit(4)")
    monkeypatch.syspath_prepend(tmp_path)
    with Worker("scann_tree", {0}, 1) as worker, pytest.raises(LeftOutError, match="exit code 4"):
        worker.describe()


@pytest.mark.parametrize("clock", ["wall", "processor"])
def test_a_process_finds_and_times_what_it_is_asked(drawn, tmp_path, clock):
    efforts_Q = np.ones(12, int)
    with Worker("exact", {0}, 1) as worker:
        _, _, (variant,) = worker.describe()
        built = worker.build(drawn.given, variant, tmp_path)
        assert worker.open_index(drawn.given, variant, tmp_path) == 1
        rows_QK = worker.search(variant.name, drawn.asking_UM, 5, efforts_Q)
        seconds_Q = worker.time(variant.name, drawn.asking_UM, 5, efforts_Q, clock)
    exact_QK, _ = exact_top_k(drawn.asking_UM, drawn.given.read_items(), 5)
    np.testing.assert_array_equal(rows_QK, exact_QK)
    assert (seconds_Q > 0).all()
    assert built["all"] > 0


def test_what_fails_in_the_process_is_told_with_its_own_words(drawn, tmp_path):
    with Worker("exact", {0}, 1) as worker:
        _, _, (variant,) = worker.describe()
        with pytest.raises(RuntimeError, match=r"contender exact, open_index[\s\S]*items\.faiss"):
            worker.open_index(drawn.given, variant, tmp_path / "nothing")


def test_files_of_other_vectors_are_built_anew(drawn, tmp_path):
    def built_at():
        with ExitStack() as stack:
            admit(("exact",), drawn.given, tmp_path / "work", "usual", {0}, Phases(), stack)
        (file,) = (tmp_path / "work").glob("exact/*/built.json")
        return file.stat().st_mtime_ns

    first = built_at()
    assert built_at() == first
    items_NM = np.load(drawn.given.items)
    try:
        np.save(drawn.given.items, items_NM[::-1])
        assert built_at() > first
    finally:
        np.save(drawn.given.items, items_NM)
