"""The page on speed: its phases, its ratios, and peers that are not there."""

import json
import sys
from pathlib import Path

import pytest

from training.paper.speed.__main__ import main
from training.paper.speed.page import Contender, PhaseRate, overheads


def phase(name: str, examples: int, seconds: float) -> PhaseRate:
    return PhaseRate(name, 1, examples, seconds, {})


@pytest.fixture(scope="module")
def found(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("speed")
    assert main(["--log", str(log), "--out", str(out), "--steps", "2", "--rounds", "2"]) == 0
    return out


def test_every_phase_of_the_cascade_is_timed(found):
    phases = json.loads((found / "speed.json").read_text())["phases"]
    names = ["exposure", "exposure recovery", "click", "click recovery", "conversion"]
    assert [each["name"] for each in phases] == names
    assert all(each["seconds"] > 0 and each["examples"] > 0 for each in phases)


def test_the_shares_of_a_phase_are_of_all_its_time(found):
    for each in json.loads((found / "speed.json").read_text())["phases"]:
        assert sum(each["shares"].values()) == pytest.approx(1)
        assert each["shares"]["products"] > 0


def test_the_page_says_how_to_repeat_it_without_directories_of_whoever_ran_it(found, log):
    page = (found / "speed.md").read_text()
    assert f"--log {log.name} " in page
    assert str(log) not in page


def test_recovery_counts_as_a_pass_over_the_exposures():
    phases = [phase("exposure", 300, 30.0), phase("recovery", 100, 12.0), phase("click", 20, 8.0)]
    ratios = overheads(phases, exposures=100)
    assert ratios == {"equal exposure epochs": 50 / 40, "without": 50 / 30}


def test_reading_is_paid_once_an_epoch():
    assert Contender("ours", 5.0, [90.0, 100.0, 110.0]).with_reading(500) == 50.0


def test_a_peer_that_is_not_installed_is_named_with_what_it_needs(log, tmp_path, capsys):
    options = ["--log", str(log), "--out", str(tmp_path), "--peer-python", sys.executable]
    assert main(options) == 2
    assert "dssm: the peer ended with: ModuleNotFoundError" in (said := capsys.readouterr().err)
    assert "torch-rechub and replay-rec[torch]" in said
