"""Releases that a test may change and publish as it likes."""

import pytest
from support.release import add_exact_index, make_release

from bundle.store import publish


@pytest.fixture
def own_release(tmp_path):
    """A published release that the test may change."""
    made = make_release(tmp_path / "own", items=120, requests=40)
    add_exact_index(made, "b1")
    publish(made.releases, made.run_id, "b1")
    return made


@pytest.fixture
def other_release(tmp_path, own_release):
    """Another run beside `own_release`, of other towers and other items, not published."""
    made = make_release(
        tmp_path / "own", run_id="other", items=120, requests=40, item_prefix="other", seed=1
    )
    add_exact_index(made, "b1")
    return made
