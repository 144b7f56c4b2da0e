"""The page, from what judged runs left."""

import csv
import json
import re

import pytest
from support.judged import write_study

from training.paper.page import write_page
from training.paper.provenance import provenance
from training.paper.study import ETAS, SWEEPS, TAUS, Study, StudyLog, Variant

THREE = StudyLog("three", "a log of three stages", (), sweeps=True)
TWO = StudyLog("two", "a log of two stages", (), raw="two")
LATER = StudyLog("later", "a log for later", ())
NAMES = ("csmf", "full-ft", "moppr", "youtubednn-sep")
STUDY = Study(
    (THREE, TWO, LATER),
    seeds=2,
    few=1,
    trials=1,
    retrained=(),
    larger=(),
    others=(),
    methods=tuple(Variant(name, name) for name in NAMES),
    ablations=(Variant("w/o AML", "csmf-no-aml"),),
    sweeps=tuple(each for each in SWEEPS if each.name in ("tau 0.75", "tau 0.25", "eta 1.8")),
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    work, out = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("page")
    for log in (THREE, TWO):
        write_study(STUDY, log, work, {"csmf": 0.61})
    (out / "table4.md").write_text("# Table 4\n\n# a comment\n\n## Setting\n")
    layouts = [{"name": name, "bytes_ratio": 3.9, "time_ratio": 1} for name in ("MVKE", "CSMF")]
    (out / "table4.json").write_text(json.dumps({"layouts": layouts}))
    return write_page(STUDY, work, out)


def test_every_link_and_picture_of_the_page_is_there(written):
    linked = set(re.findall(r"\]\(([^)]+)\)", written.read_text()))
    files = {each.name for each in written.parent.iterdir()}
    assert linked <= files
    assert {"three-front.png", "three-fig4-tau.png", "two-front.png"} <= linked


def test_nothing_is_written_that_the_page_does_not_show(written):
    linked = set(re.findall(r"\]\(([^)]+)\)", written.read_text()))
    written_too = {each.name for each in written.parent.iterdir()} - linked
    assert written_too == {"README.md", "table4.md"}  # the latter is on the page


def test_every_item_of_the_paper_has_its_place(written):
    text = written.read_text()
    for item in ("Table 1", "Table 2", "Table 3", "Table 4", "Fig. 4", "Fig. 5", "Training time"):
        assert f"## {item}" in text or f"and {item}" in text
    assert "Online test" in text


def test_a_log_that_has_not_been_judged_is_named(written):
    assert "Not run: a log for later." in written.read_text()


def test_figures_on_the_page_are_those_that_were_found(written):
    with (written.parent / "three-table2.csv").open() as file:
        rows = {(row["group"], row["method"]): row for row in csv.DictReader(file)}
    ours = rows["click, own list; from the exposure model", "csmf"]
    assert float(ours["recall@50"]) == pytest.approx(0.61)
    fused = rows["click, fused list; from the exposure model", "csmf"]
    assert float(fused["recall@50"]) == pytest.approx(0.56)
    assert ("click, own list; from scratch", "youtubednn-sep") in rows


def test_every_slice_is_in_the_file_of_all_metrics(written):
    with (written.parent / "two-metrics.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == len(NAMES) * 2 * 2 * 4  # methods, views, objectives, slices
    assert float(rows[0]["recall@50 micro"]) == pytest.approx(float(rows[0]["recall@50 macro"]) / 2)


def test_points_of_a_sweep_that_were_not_run_stay_empty(written):
    with (written.parent / "three-fig4-tau.csv").open() as file:
        tau = [*csv.DictReader(file)]
    assert [float(row["tau"]) for row in tau if row["click, own list"]] == [0.25, 0.75]
    assert len(tau) == len(TAUS)
    with (written.parent / "three-fig5a-eta.csv").open() as file:
        assert len([*csv.DictReader(file)]) == len(ETAS)


def test_a_page_of_nothing_says_so(tmp_path):
    text = write_page(STUDY, tmp_path / "work", tmp_path / "page").read_text()
    assert "0 of 28 runs" in text
    assert "Not run: a log of three stages; a log of two stages; a log for later." in text


def test_where_it_was_made_says_no_directories(monkeypatch):
    words = ["x", "--out", "/home/me/page", "--raw", "trivago=/data/train.csv", "--work", "a/b"]
    monkeypatch.setattr("sys.argv", words)
    command = "`python -m training.paper --out page --raw trivago=train.csv --work a/b`"
    assert provenance().startswith(command)


def test_what_another_command_measured_is_on_the_page_under_its_own_heading(written):
    section = "## Table 4: storage and search time\n\n# a comment\n\n### Setting\n\n[table4.json]"
    assert section in written.read_text()
