from pathlib import Path

import pytest
from support.release import Release, make_release

from bundle.store import Index, read_index
from index_builder.build import build_index
from index_builder.settings import BuildSettings

IVF = BuildSettings(exact_below=0, max_effort=0.9, users=300)


@pytest.fixture(scope="session")
def catalogue_release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """4,000 items and 1,200 requests: enough for cells, and for users that no build has seen."""
    return make_release(tmp_path_factory.mktemp("ivf"), items=4000, users=600, requests=1200)


@pytest.fixture(scope="session")
def ivf_index(catalogue_release: Release) -> Index:
    """An inverted file over them, read back from its directory."""
    report = build_index(catalogue_release.directory, catalogue_release.log, IVF)
    return read_index(report.directory, catalogue_release.bundle)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A release of its own for tests that break or publish things."""
    return make_release(tmp_path)
