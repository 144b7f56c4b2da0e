"""docs/indexing.md is held against the command it documents."""

import re
from pathlib import Path

import pytest

from index_builder.cli import BAD_INPUT, BELOW_TARGET, DISK_FAILED, main
from index_builder.settings import BuildSettings

PAGE = (Path(__file__).parents[2] / "docs" / "indexing.md").read_text()
COMMAND = PAGE.split("## What a build does")[0]


def test_the_page_lists_every_option_of_the_command_and_no_other(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    offered = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out)) - {"--help"}
    assert offered == set(re.findall(r"^\| `(--[a-z-]+)`", COMMAND, re.MULTILINE))


def test_the_defaults_on_the_page_are_those_of_a_build():
    documented = dict(re.findall(r"^\| `--([a-z-]+)` \| ([\d.]+) \|", PAGE, re.MULTILINE))
    for option, default in documented.items():
        assert float(default) == getattr(BuildSettings(), option.replace("-", "_"))
    assert len(documented) == 6


def test_the_exit_codes_on_the_page_are_those_of_the_command():
    codes = [0, DISK_FAILED, BAD_INPUT, BELOW_TARGET]
    assert codes == [int(code) for code in re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE)]


@pytest.mark.parametrize(
    ("option", "value"),
    [("--target-recall", "1.5"), ("--max-effort", "0"), ("--users", "0"), ("--seed", "-1")],
)
def test_an_option_out_of_range_is_refused_with_what_is_expected(capsys, option, value):
    with pytest.raises(SystemExit) as refusal:
        main(["--release", "r", "--log", "l", option, value])
    assert refusal.value.code == BAD_INPUT
    assert option in capsys.readouterr().err
