"""The page of results says what the figures say."""

import json
import types

import pytest

from loadtests.reliability.__main__ import EXPERIMENTS
from loadtests.reliability.page import FIGURES, page

MODULE = types.ModuleType("harm", "Harm it: does it stand?\n\nDecisions")


def test_the_committed_page_is_the_one_that_its_figures_give():
    written = FIGURES.with_suffix(".md").read_text()
    assert page(EXPERIMENTS) == written, "run: python -m loadtests.reliability page"


@pytest.mark.parametrize(("met", "verdict"), [(True, "| met |"), (False, "| **missed**: `lost` |")])
def test_an_experiment_is_a_row_with_figures_verdict_and_origin_and_a_section(
    tmp_path, met, verdict
):
    recalls = {f"recall_{n}": 0.9 + n / 100 for n in range(5)}
    thresholds = [{"figure": name, "bound": "≥ 0.9", "met": True} for name in recalls]
    document = {
        "command": "python -m loadtests.reliability harm",
        "began": "2026-11-21T15:13:37+00:00",
        "commit": "abc1234",
        "machine": {"cores": 2, "load_average": 6.4},
        "figures": {**recalls, "lost": 1, "asked": 9},
        "thresholds": [*thresholds, {"figure": "lost", "bound": "≤ 0", "met": met}],
    }
    (tmp_path / "harm.json").write_text(json.dumps(document))
    (tmp_path / "harm.png").touch()
    text = page({"harm": MODULE, "unmeasured": MODULE}, tmp_path)
    (row,) = [line for line in text.splitlines() if line.startswith("| [")]
    assert "| Harm it: does it stand? |" in row
    assert "5 × `recall_…` 0.9 to 0.94 (≥ 0.9)<br>`lost` 1 (≤ 0)" in row
    assert verdict in row
    assert "2026-11-21 15:13, abc1234, 2 cores, load 6.4" in row
    assert "```\npython -m loadtests.reliability harm\n```" in text
    assert "![harm](reliability/harm.png)" in text
    assert "| `asked` | 9 |" in text
