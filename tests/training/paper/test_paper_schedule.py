"""Many runs: each once, in processes of their own; one that fails stops the rest."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.judged import found
from support.waiting import within

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


STUDY = """
import sys
from pathlib import Path
from training.paper.schedule import Run, run_all
from training.paper.study import Variant
here = Path(sys.argv[1])
run_all([Run(here / "log", here, Variant("csmf"), 0, ())], 1, "endless")
"""


def test_a_study_that_is_killed_leaves_no_process(tmp_path):
    said = tmp_path / "log" / "log.yaml"
    said.parent.mkdir()
    os.mkfifo(said)
    held = os.open(said, os.O_RDWR)  # nothing is written: the run waits until this is closed
    study = subprocess.Popen([sys.executable, "-c", STUDY, tmp_path])
    try:
        assert within(60, lambda: reading(study.pid, said))
        (run,) = reading(study.pid, said)
        study.kill()
        study.wait()
        assert within(10, lambda: not run.exists())
    finally:
        os.close(held)


def reading(parent, path):
    """Processes begun by another one that have a file open, as directories of /proc."""
    begun = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    each = [Path("/proc") / pid for pid in begun]
    return [one for one in each if str(path) in map(leads_to, one.glob("fd/*"))]


def leads_to(link):
    try:
        return str(link.readlink())
    except FileNotFoundError:  # closed since
        return ""


def test_runs_on_a_log_that_was_made_otherwise_are_refused(tmp_path, capsys):
    (tmp_path / "work" / "dense" / "log").mkdir(parents=True)
    (tmp_path / "work" / "dense" / "log.command").write_text("simulate --seed 3")
    where = ["--out", str(tmp_path / "page"), "--work", str(tmp_path / "work")]
    assert main([*where, "--quick", "--logs", "dense"]) == 2
    assert "found a log that was made otherwise" in capsys.readouterr().err
