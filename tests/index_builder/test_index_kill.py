"""A build that is killed leaves the releases as they were, and the next one sweeps up."""

import subprocess
import sys
import time
from pathlib import Path

from support.release import Release, make_release

from bundle.store import read_current, read_pair
from bundle.writing import STAGING_PREFIX, staged_directory
from index_builder.cli import main
from index_builder.unfinished import PREFIX


def staging(release: Release) -> list[Path]:
    return sorted((release.directory / "index").glob(f"{STAGING_PREFIX}*"))


def builds(release: Release) -> set[str]:
    return {path.name for path in (release.directory / "index").glob("2*")}


def test_a_build_killed_half_way_leaves_the_published_pair_and_no_half_index(tmp_path):
    release = make_release(tmp_path, items=5000)
    arguments = ["--release", str(release.directory), "--log", str(release.log), "--publish"]
    assert main(arguments) == 0
    current, published = read_current(release.releases), builds(release)
    command = [sys.executable, "-m", "index_builder.cli", *arguments, "--exact-below", "0"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not any((path / "golden.json").exists() for path in staging(release)):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert current == read_current(release.releases)
    read_pair(release.releases, current)
    assert builds(release) == published
    assert staging(release)
    assert main(arguments) == 0
    assert staging(release) == []
    assert list((release.directory / "index").glob(f"{PREFIX}*")) == []
    assert read_current(release.releases).build_id in builds(release) - published


def test_a_build_killed_after_k_means_goes_on_behind_it(tmp_path, monkeypatch):
    release = make_release(tmp_path, items=5000)
    arguments = ["--release", str(release.directory), "--log", str(release.log)]
    arguments += ["--exact-below", "0", "--users", "64", "--max-effort", "1"]
    command = [sys.executable, "-m", "index_builder.cli", *arguments]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while "cells-" not in recorded(release):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
    monkeypatch.setattr("index_builder.invert.train_centroids", None)
    assert main(arguments) == 0
    assert len(builds(release)) == 1
    assert recorded(release) == ""


def recorded(release: Release) -> str:
    """What builds that are not finished have noted."""
    records = (release.directory / "index").glob(f"{PREFIX}*/record.json")
    return "".join(path.read_text() for path in records)


def test_the_staging_of_a_living_build_is_left_alone(tmp_path):
    with staged_directory(tmp_path / "one") as first, staged_directory(tmp_path / "two") as second:
        (first / "file").write_text("1")
        (second / "file").write_text("2")
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}
