"""The sweep of weights over one release."""

import csv
import json

import pytest

from bundle.store import read_bundle
from bundle.weights import ObjectiveWeights
from training.cli import main
from training.evaluation.trial import reopen


@pytest.fixture(scope="module")
def swept(released, log, tmp_path_factory):
    out, release = tmp_path_factory.mktemp("swept"), released.directory
    command = ["sweep-weights", str(release), "--log", str(log), "--out", str(out)]
    assert main([*command, "--steps", "2", "--k", "10"]) == 0
    return out


@pytest.fixture(scope="module")
def rows(swept):
    with (swept / "front.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_sweep_writes_one_row_per_setting_and_a_picture(rows, swept):
    assert [row["k_click"] for row in rows] == ["0.0", "0.5", "0.0", "1.0", "0.5", "0.0"]
    assert (swept / "front.png").read_bytes().startswith(b"\x89PNG")


def test_every_setting_is_judged_on_both_sides(rows, released, log):
    reopened = reopen(released, log, 10)
    stages = released.segments.names
    for row in rows:
        weights = ObjectiveWeights.parse({s: float(row[f"k_{s}"]) for s in stages}, stages)
        for side in ("validation", "test"):
            judged = getattr(reopened, side).judge(weights)
            expected = judged["click"]["all"]["recall@10"]["macro"]
            assert float(row[f"click recall@10 {side}"]) == pytest.approx(expected, abs=1e-6)


def test_each_goal_names_a_row_of_the_table(rows, swept):
    recommended = json.loads((swept / "recommended.json").read_text())["recommended"]
    for name, chosen in recommended.items():
        (row,) = (row for row in rows if name in row["recommended"].split())
        weights = [float(row[f"k_{stage}"]) for stage in chosen["weights"]]
        assert weights == list(chosen["weights"].values())
        assert float(row["click recall@10 test"]) == chosen["test"]["click"]


def test_the_release_is_as_it_was(swept, released):
    assert read_bundle(released.directory).sha256 == released.sha256


def test_a_sweep_over_another_log_is_refused(released, make_log, tmp_path, capsys):
    command = ["sweep", str(released.directory), "--log", str(make_log(2)), "--out", str(tmp_path)]
    assert main(command) == 2
    assert "expected the log that tiny-" in capsys.readouterr().err


def test_a_sweep_of_no_steps_is_refused(released, tmp_path, capsys):
    command = ["sweep", str(released.directory), "--log", "nowhere", "--out", str(tmp_path)]
    assert main([*command, "--steps", "0"]) == 2
    assert "--steps: expected at least 1" in capsys.readouterr().err
