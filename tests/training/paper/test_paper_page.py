"""The page, from what judged runs left."""

import csv
import json
import re
from dataclasses import replace

import pytest
from support.judged import write_study

from training.paper.page import keep_parts, write_page
from training.paper.parts import read_parts
from training.paper.study import ETAS, PARTS, SWEEPS, TAUS, Study, StudyLog, Variant

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
    return page(work, out)


def page(work, out, logs=STUDY.logs, kinds=PARTS):
    """Of what was asked for, and what is kept."""
    keep_parts(STUDY, logs, kinds, work, out)
    return write_page(STUDY, out)


def test_every_link_and_picture_of_the_page_is_there(written):
    linked = set(re.findall(r"\]\(([^)]+)\)", written.read_text()))
    files = {each.name for each in written.parent.iterdir()}
    assert linked <= files
    assert {"three-front.png", "three-fig4-tau.png", "two-front.png"} <= linked


def test_nothing_is_written_that_the_page_does_not_show(written):
    linked = set(re.findall(r"\]\(([^)]+)\)", written.read_text()))
    written_too = {each.name for each in written.parent.iterdir()} - linked
    assert written_too == {"README.md", "table4.md", "parts"}  # the latter are on the page


def test_every_item_of_the_paper_has_its_place(written):
    text = written.read_text()
    for item in ("Table 1", "Table 2", "Table 3", "Table 4", "Fig. 4", "Fig. 5", "Training time"):
        assert f"## {item}" in text or f"and {item}" in text
    assert "Online test" in text


def test_a_log_that_has_not_been_judged_is_named(written):
    assert "- a log for later, tables: not run." in written.read_text()


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
    lists = 2 * len(NAMES) - 1  # of one vector the fused one alone
    assert len(rows) == lists * 2 * 4  # objectives, slices
    assert float(rows[0]["recall@50 micro"]) == pytest.approx(float(rows[0]["recall@50 macro"]) / 2)


def test_points_of_a_sweep_that_were_not_run_stay_empty(written):
    with (written.parent / "three-fig4-tau.csv").open() as file:
        tau = [*csv.DictReader(file)]
    assert [float(row["tau"]) for row in tau if row["click, own list"]] == [0.25, 0.75]
    assert len(tau) == len(TAUS)
    with (written.parent / "three-fig5a-eta.csv").open() as file:
        assert len([*csv.DictReader(file)]) == len(ETAS)


def test_a_page_of_nothing_says_so(tmp_path):
    text = page(tmp_path / "work", tmp_path / "page").read_text()
    assert "0 of 28 runs" in text
    assert "- a log of three stages, ablations: not run." in text
    assert "| Fig. 5a, η | a log of three stages | best at 1.8 |  | not run |" in text
    assert "| Fig. 4, τ retained | a log of three stages | best at 0.25 |  | not run |" in text


def test_what_another_command_measured_is_on_the_page_under_its_own_heading(written):
    section = "## Table 4: storage and search time\n\n# a comment\n\n### Setting\n\n[table4.json]"
    assert section in written.read_text()


def test_a_part_of_another_log_or_kind_stays_as_it_was_kept(tmp_path):
    works, out = [tmp_path / name for name in ("first", "second")], tmp_path / "page"
    for work, level in zip(works, (0.61, 0.71), strict=True):
        for log in (THREE, TWO):
            write_study(STUDY, log, work, {"csmf": level, "tau 0.75": level})
    page(works[0], out)
    before = {(part.log, part.kind): part for part in read_parts(STUDY, out)}
    assert [*before] == [
        ("three", "tables"),
        ("three", "ablations"),
        ("three", "sweeps"),
        ("two", "tables"),
    ]
    text = page(works[1], out, [THREE], ["sweeps"]).read_text()
    after = {(part.log, part.kind): part for part in read_parts(STUDY, out)}
    assert [key for key in before if after[key] != before[key]] == [("three", "sweeps")]
    assert "0.710" in text
    assert "0.610" in text


def test_sweeps_can_be_measured_where_nothing_else_was(tmp_path):
    only = replace(STUDY, methods=(), ablations=())
    write_study(only, THREE, tmp_path / "work", {})
    text = page(tmp_path / "work", tmp_path / "page").read_text()
    assert [part.kind for part in read_parts(STUDY, tmp_path / "page")] == ["sweeps"]
    assert "3 of 28 runs" in text
    assert "three-fig4-tau.png" in text


def test_the_page_says_of_each_part_where_it_was_measured(written):
    opening = written.read_text().partition("## ")[0]
    made = "2026-11-21, commit abc, 2 cores of some; 2026-11-22, commit abc, 2 cores of some."
    assert (
        f"- a log of three stages, sweeps: 3 of 3 runs, 0.0 hours of training, {made[:38]}"
        in opening
    )
    assert f"- a log of two stages, tables: 8 of 8 runs, 0.0 hours of training, {made}" in opening


def test_a_page_written_again_from_its_parts_is_the_same(written):
    text = written.read_text()
    assert write_page(STUDY, written.parent).read_text() == text
