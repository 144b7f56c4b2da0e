"""The pages are held against the project: links lead somewhere, paths and flags exist."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bundle/*.md")],
    key=lambda page: page.as_posix(),
)
COMMANDS = (
    *("csmf-log", "csmf-train", "csmf-index"),
    *("csmf-serve", "csmf-weights", "csmf-keys", "csmf-features"),
)
OURS = ("bundle", "training", "index_builder", "service", "loadtests", "deploy", "docs", "tests")


def ids(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_of_a_page_leads_to_a_file(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_path_that_a_page_names_exists(page):
    named = re.findall(rf"`((?:{'|'.join(OURS)})/[\w./-]*)`", page.read_text())
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_flag_that_a_page_gives_a_command_is_in_its_help(page):
    for line in re.findall(
        r"^(?:\$ )?(csmf-[a-z]+ .*(?:\\\n.*)*)$", page.read_text(), re.MULTILINE
    ):
        command, *words = line.split("#")[0].replace("\\\n", " ").split()
        if command in COMMANDS:
            helped = help_of(command, *subcommands(command, words))
            flags = {flag for word in words for flag in re.findall(r"^\[?(--[a-z-]+)", word)}
            unknown = {flag for flag in flags if flag not in helped}
            assert not unknown, line


def subcommands(command: str, words: list[str]) -> list[str]:
    """`set` of `csmf-weights set home …`; a page may give a choice as `trivago|beibei`."""
    depth = 2 if words[:1] == ["convert"] else 1
    leading = [word.split("|")[0] for word in words[:depth]]
    return [word for word in leading if word[0].isalpha()]


@cache
def help_of(command: str, *words: str) -> str:
    program = Path(sys.executable).with_name(command)
    ran = subprocess.run([program, *words, "--help"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{command} {words} --help: {ran.stderr}"
    return ran.stdout
