"""Many runs: each once, in processes of their own; one that fails stops the rest."""

from dataclasses import replace

import pytest
from support.judged import found

from training.errors import ConfigError
from training.paper.cli import main
from training.paper.run import configured, judged_file, save_found
from training.paper.schedule import Run, run_all
from training.paper.study import Variant

STAGES = ("exposure", "click", "conversion")


def run_of(tmp_path, name, settings=()):
    return Run(tmp_path / "log", tmp_path, Variant(name), 0, settings)


def test_what_has_been_judged_is_not_run_again(tmp_path):
    run = run_of(tmp_path, "csmf")
    judged = replace(found(run.variant, STAGES, 0.5), config=configured(run.variant, 0, ()))
    save_found(judged_file(tmp_path, run.variant, 0), judged)
    run_all([run], 1, "nothing to do")  # there is no log to run it on


def test_what_was_judged_by_other_settings_is_refused(tmp_path):
    run = run_of(tmp_path, "csmf")
    save_found(judged_file(tmp_path, run.variant, 0), found(run.variant, STAGES, 0.5))
    with pytest.raises(ConfigError, match="got what others did"):
        run_all([run], 1, "nothing to do")


def test_a_run_that_fails_ends_the_study_by_name(tmp_path):
    runs = [run_of(tmp_path, f"run {n}", ("no.such=1",)) for n in range(30)]
    with pytest.raises(ConfigError, match="no such setting") as failed:
        run_all(runs, 1, "doomed")
    assert f"in the run run 0, seed 0, on {tmp_path / 'log'}" in failed.value.__notes__


def test_runs_on_a_log_that_was_made_otherwise_are_refused(tmp_path, capsys):
    (tmp_path / "work" / "dense" / "log").mkdir(parents=True)
    (tmp_path / "work" / "dense" / "log.command").write_text("simulate --seed 3")
    where = ["--out", str(tmp_path / "page"), "--work", str(tmp_path / "work")]
    assert main([*where, "--quick", "--logs", "dense"]) == 2
    assert "found a log that was made otherwise" in capsys.readouterr().err
