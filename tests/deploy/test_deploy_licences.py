"""The page of licences has every package that is shipped, and each has one."""

import re
from pathlib import Path

from deploy.licences import licence, shipped

PAGE = Path(__file__).parents[2] / "docs" / "licences.md"


def rows():
    return re.findall(r"^\| (\S+) \| (.*) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)[1:]


def test_the_page_has_every_package_that_is_pinned():
    assert [name for name, _, _ in rows()] == shipped()


def test_every_package_says_its_licence_and_none_forbids_what_we_do():
    for name, said, _ in rows():
        assert len(said) >= 3, name
        assert not re.search(r"GPL|Proprietary|Commercial|SSPL|BUSL", said), name


def test_a_long_text_or_no_name_gives_way_to_the_classifiers():
    assert licence("contourpy") == "BSD License"
    assert licence("numpy").startswith("BSD-3-Clause")
