"""The experiment with broken releases in small, and that it would notice one that is served."""

import json

from loadtests.reliability import malformed
from loadtests.reliability.__main__ import main


def test_broken_releases_are_refused_by_name_while_requests_are_answered(tmp_path):
    flags = ["--fuzzed", "3", "--corpus", "5", "--work", str(tmp_path / "work")]
    assert main(["malformed", *flags, "--out", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "malformed.json").read_text())["figures"]
    assert (figures["malformations"], figures["not_refused_by_name"]) == (8, 0)
    assert figures["requests"] > 0
    assert figures["failed_requests"] == figures["workers_that_died"] == 0


def test_a_release_that_is_served_although_it_was_to_be_refused_is_a_miss(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(malformed, "_harm", lambda path, chance: None)
    flags = ["--fuzzed", "1", "--corpus", "1", "--work", str(tmp_path)]
    assert main(["malformed", *flags]) == 1
    assert "fuzzed-0: expected a refusal: []" in capsys.readouterr().err
