"""The sweep of weights over one release."""

import csv
import json

import pytest

from training.cli import main


@pytest.fixture(scope="module")
def swept(released, log, tmp_path_factory):
    out, release = tmp_path_factory.mktemp("swept"), released.directory
    command = ["sweep", str(release), "--log", str(log), "--out", str(out), "--steps", "2"]
    assert main([*command, "--k", "10"]) == 0
    return out, release


def test_a_sweep_writes_one_row_per_setting_and_a_picture(swept):
    out, _ = swept
    with (out / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["k_click"] for row in rows] == ["0.0", "0.5", "1.0", "0.5", "0.0"]
    assert all(0 <= float(row["click recall@10 macro"]) <= 1 for row in rows)
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_the_ends_of_a_sweep_are_the_stages_own_lists_of_the_evaluation(swept):
    out, release = swept
    lists = json.loads((release / "evaluation.json").read_text())["lists"]
    with (out / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row, stage in zip(rows[::2], ("exposure", "click", "conversion"), strict=True):
        expected = lists[f"{stage} score"]["click"]["all"]["recall@10"]["macro"]
        assert float(row["click recall@10 macro"]) == expected


def test_a_sweep_over_another_log_is_refused(swept, make_log, capsys):
    out, release = swept
    command = ["sweep", str(release), "--log", str(make_log(2)), "--out", str(out)]
    assert main(command) == 2
    assert "expected the log that tiny-" in capsys.readouterr().err


def test_a_sweep_of_no_steps_is_refused(swept, capsys):
    out, release = swept
    command = ["sweep", str(release), "--log", "nowhere", "--out", str(out), "--steps", "0"]
    assert main(command) == 2
    assert "--steps: expected at least 1" in capsys.readouterr().err
