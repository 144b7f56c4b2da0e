"""What was found on one log, and differences between variants."""

from dataclasses import replace

import numpy as np
import pytest
from support.judged import found, write_study

from training.errors import ConfigError
from training.evaluation.intervals import Draws
from training.paper.findings import Findings, read_findings, sample_mean
from training.paper.run import OWN_LISTS, judged_file, load_found, save_found
from training.paper.study import Study, StudyLog, Variant

STAGES = ("exposure", "click", "conversion")
OURS, RIVAL = Variant("csmf"), Variant("moppr", "moppr")
LOG = StudyLog("small", "small log", ())
STUDY = Study(
    (LOG,),
    seeds=2,
    few=1,
    trials=1,
    methods=(OURS, RIVAL),
    retrained=(),
    enlarged=(),
    taught=(),
    others=(),
    ablations=(),
    sweeps=(),
)


@pytest.fixture
def findings():
    ours = {seed: found(OURS, STAGES, 0.6, seed) for seed in range(3)}
    rivals = {seed: found(RIVAL, STAGES, 0.5, seed) for seed in range(1, 4)}
    return Findings(LOG, {"csmf": ours, "moppr": rivals})


def test_recall_is_that_of_the_list_that_was_judged(findings):
    mean = sample_mean(findings.recall("csmf", OWN_LISTS, "click list", "click"))
    assert (mean.value, mean.seeds) == (pytest.approx(0.6), 3)
    other = sample_mean(findings.recall("csmf", OWN_LISTS, "click list", "conversion"))
    assert other.value == pytest.approx(0.5)


def test_variants_are_compared_on_the_seeds_that_both_have(findings):
    key = (OWN_LISTS, "fused", "click")
    lead = findings.difference(findings.recall("csmf", *key), findings.recall("moppr", *key))
    draws = Draws.of(np.arange(400) % 100, 2)
    recalls = [
        np.stack(
            [
                draws.means(findings.of(name)[seed].fronts[OWN_LISTS].test_LOQ[[-1], 1])[:, 0]
                for seed in (1, 2)
            ],
            axis=1,
        )
        for name in ("csmf", "moppr")
    ]
    assert lead == draws.difference(*recalls)


def test_a_variant_that_was_not_run_has_no_figures(findings):
    missing = findings.recall("dmtl", OWN_LISTS, "fused", "click")
    assert not missing
    assert findings.difference(missing, missing) is None


def test_what_has_been_judged_so_far_is_read(tmp_path):
    assert read_findings(STUDY, tmp_path, LOG) is None
    write_study(STUDY, LOG, tmp_path, {})
    judged_file(tmp_path / "small", RIVAL, 1).unlink()
    read = read_findings(STUDY, tmp_path, LOG)
    assert {name: [*seeds] for name, seeds in read.runs.items()} == {"csmf": [0, 1], "moppr": [0]}


def test_runs_that_were_asked_other_questions_are_refused(tmp_path):
    write_study(STUDY, LOG, tmp_path, {})
    file = judged_file(tmp_path / "small", RIVAL, 1)
    run = load_found(file)
    save_found(file, replace(run, user_Q=run.user_Q[::-1]))
    with pytest.raises(ConfigError, match="delete it and run it again"):
        read_findings(STUDY, tmp_path, LOG)
