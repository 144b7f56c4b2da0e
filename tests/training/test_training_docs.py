"""The pages about training say what the code does."""

import re
from pathlib import Path

import yaml

from training.presets import describe_config, load_config

ROOT = Path(__file__).parents[2]


def test_the_settings_table_has_the_defaults_of_the_code():
    default, plain = (
        {key: value for key, value, _ in describe_config(load_config(preset))}
        for preset in ("default", "plain")
    )
    text = (ROOT / "docs" / "training.md").read_text()
    rows = re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \| ([^|]+) \|", text, re.MULTILINE)
    assert len(rows) > 5
    for key, *shown in rows:
        assert key in default, key
        if key != "weights":  # null stands for the paper's, which the page spells out
            assert [yaml.safe_load(each) for each in shown] == [default[key], plain[key]], key


def test_every_file_and_test_that_paper_md_names_exists():
    text = (ROOT / "docs" / "paper.md").read_text()
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    for name in re.findall(r"`(test_[a-z0-9_]+)`", text):
        assert f"def {name}(" in sources, name
    for name in re.findall(r"`((?:training|bundle)/[a-z_]+\.py)`", text):
        assert (ROOT / name).exists(), name
