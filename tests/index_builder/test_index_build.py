"""What a build leaves behind: a readable pair, the same bytes for the same seed, honest facts."""

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.release import SEGMENTS, make_release

from bundle.effort import EffortMap
from bundle.store import read_current, read_index, read_pair
from bundle.towers import open_item_tower
from index_builder.build import build_index, read_inputs
from index_builder.cells import cell_count
from index_builder.cli import main
from index_builder.grid import weight_directions
from index_builder.settings import BuildSettings
from index_builder.tables import sample_users


def test_a_published_pair_is_readable_and_names_what_was_built(release, capsys):
    assert main(["--release", str(release.directory), "--log", str(release.log), "--publish"]) == 0
    current = read_current(release.releases)
    bundle, index = read_pair(release.releases, current)
    assert (current.run_id, current.build_id) == (release.run_id, index.manifest.build_id)
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{6}", current.build_id)
    assert bundle.sha256 == index.manifest.bundle_sha256
    shown = capsys.readouterr().out
    assert "exact: every item is scored" in shown
    assert "published" in shown


def test_the_summary_counts_the_items_that_the_towers_were_not_trained_on(release, capsys):
    known = release.bundle.schema.vocabularies["item_id"]
    cold = pq.read_table(release.log / "items.parquet").num_rows - len(known)
    assert main(["--release", str(release.directory), "--log", str(release.log)]) == 0
    assert f"unknown  item_id {cold} (" in capsys.readouterr().out


def test_the_digits_of_a_build_are_equal_exactly_when_what_went_in_is(release):
    def digits() -> str:
        report = build_index(release.directory, release.log, BuildSettings())
        return report.manifest.build_id[-6:]

    before = digits()
    assert digits() == before
    requests = pq.read_table(release.log / "requests.parquet")
    pq.write_table(requests.slice(1), release.log / "requests.parquet")
    assert digits() != before


def test_without_publish_nothing_is_made_current(release):
    assert main(["--release", str(release.directory), "--log", str(release.log)]) == 0
    assert not (release.releases / "CURRENT").exists()


def test_rows_are_in_the_byte_order_of_ids_and_hold_every_item(release):
    report = build_index(release.directory, release.log, BuildSettings())
    index = read_index(report.directory, release.bundle)
    listed = pq.read_table(release.log / "items.parquet")["item_id"].to_pylist()
    assert listed != sorted(listed)
    assert sorted(item.encode() for item in listed) == index.item_ids_N.tolist()


def test_each_row_is_the_vector_of_its_own_item(release):
    report = build_index(release.directory, release.log, BuildSettings())
    index = read_index(report.directory, release.bundle)
    table = pq.read_table(release.log / "items.parquet").to_pylist()
    tower = open_item_tower(release.bundle)
    for record in table[:25]:
        columns = {name: [value] for name, value in record.items()}
        expected = tower.embed(release.bundle.schema.encode_item(columns, 1).arrays)[0]
        row = np.searchsorted(index.item_ids_N, record["item_id"].encode())
        assert np.allclose(expected, index.item_vectors_NM[row], atol=1e-6)


def test_equal_seeds_give_equal_files(tmp_path):
    contents = []
    for copy in ("one", "two"):
        release = make_release(tmp_path / copy, items=1000)
        settings = BuildSettings(exact_below=0, max_effort=1.0, users=64)
        report = build_index(release.directory, release.log, settings)
        contents.append({entry.path: entry.sha256 for entry in report.manifest.files})
    assert contents[0] == contents[1]


def test_users_are_drawn_from_the_whole_log_not_from_its_beginning(catalogue_release):
    log, schema = catalogue_release.log, catalogue_release.bundle.schema
    listed = pq.read_table(log / "requests.parquet")["user_id"].to_pylist()
    _, drawn = sample_users(log, schema, 200, seed=0)
    assert len(drawn) == 200
    assert not set(drawn) <= set(listed[:600])


def test_the_users_that_measure_recall_are_not_those_that_shaped_the_cells(catalogue_release):
    inputs = read_inputs(
        catalogue_release.directory, catalogue_release.log, BuildSettings(users=300)
    )
    shaping = {record["user_id"] for record in inputs.shaping}
    measuring = {record["user_id"] for record in inputs.measuring}
    assert shaping
    assert measuring
    assert not shaping & measuring


def test_the_default_weights_are_a_measured_direction(catalogue_release, ivf_index):
    default = catalogue_release.bundle.manifest.weights.as_array().tolist()
    assert default in [point.weights for point in ivf_index.manifest.effort.points]


def test_facts_describe_the_vectors_and_the_cells(ivf_index):
    facts, vectors_NM = ivf_index.manifest.facts, ivf_index.item_vectors_NM
    norms_N = np.linalg.norm(vectors_NM, axis=1)
    assert facts.norm_quantiles[0] == pytest.approx(norms_N.min(), rel=1e-5)
    assert facts.norm_quantiles[-1] == pytest.approx(norms_N.max(), rel=1e-5)
    first = np.linalg.norm(vectors_NM[:, : SEGMENTS.ends[0]], axis=1).mean()
    assert facts.segment_norms["exposure"] == pytest.approx(first, rel=1e-5)
    assert facts.list_size_quantiles[0] >= 1


def test_the_manifest_survives_its_json(ivf_index):
    effort = ivf_index.manifest.effort
    again = EffortMap.model_validate_json(json.dumps(effort.model_dump()))
    assert again == effort


@pytest.mark.parametrize("stages", [2, 3, 4, 5])
def test_the_grid_has_every_corner_and_only_weights_that_sum_to_one(stages):
    grid = weight_directions(stages)
    assert np.allclose(grid.sum(axis=1), 1)
    assert grid.min() >= 0
    assert len(np.unique(grid, axis=0)) == len(grid) <= 35
    for corner in np.eye(stages):
        assert corner.tolist() in grid.tolist()


@pytest.mark.parametrize(
    ("items", "cells"), [(1, 1), (100, 16), (20_000, 512), (200_000, 2048), (1_000_000, 4096)]
)
def test_the_number_of_cells_grows_with_the_root_of_the_catalogue(items, cells):
    assert cells == cell_count(items)
