"""The page, from what judged runs left."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.judged import write_study

from training.paper.page import _anchor, keep_parts, write_page
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
    enlarged=(),
    taught=(),
    others=(),
    methods=tuple(Variant(name, name) for name in NAMES),
    ablations=(Variant("w/o AML", "csmf-no-aml"),),
    sweeps=tuple(each for each in SWEEPS if each.name in ("tau 0.75", "tau 0.25", "eta 1.8")),
)


DOCS = Path(__file__).parents[3] / "docs"


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
    text = written.read_text()
    linked = set(re.findall(r"\]\(([^)]+)\)", text))
    files = {each.name for each in written.parent.iterdir()}
    headings = {_anchor(title) for title in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    docs = {
        link for link in linked if (DOCS / link.partition("#")[0].removeprefix("../../")).is_file()
    }
    assert linked - docs <= files | {f"#{each}" for each in headings}
    assert len(headings) == text.partition("\n## ")[0].count("](#")
    assert {"three-front.png", "three-fig4-tau.png", "two-front.png"} <= linked


def test_nothing_is_written_that_the_page_does_not_show(written):
    linked = set(re.findall(r"\]\(([^)]+)\)", written.read_text()))
    written_too = {each.name for each in written.parent.iterdir()} - linked
    assert written_too == {"README.md", "table4.md", "parts"}  # the latter are on the page


def test_every_item_of_the_paper_has_its_place(written):
    text = written.read_text()
    for item in ("Table 1", "Table 2", "Table 3", "Table 4", "Fig. 4", "Fig. 5", "Training time"):
        assert f"\n## {item}" in text or f"and {item}" in text
    assert "Online test" in text


def test_a_log_that_has_not_been_judged_is_named(written):
    assert "- `later` (a log for later), `tables`: not run." in written.read_text()


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
    pruned = [float(row["τ, pruned share of information"]) for row in tau if row["click, own list"]]
    assert pruned == [0.25, 0.75]
    assert len(tau) == len(TAUS)
    with (written.parent / "three-fig5a-eta.csv").open() as file:
        assert len([*csv.DictReader(file)]) == len(ETAS)


def test_a_page_of_nothing_says_so(tmp_path):
    text = page(tmp_path / "work", tmp_path / "page").read_text()
    assert "0 of 28 runs" in text
    assert "- `three` (a log of three stages), `ablations`: not run." in text
    assert "| Fig. 5a, η | not run | – | – |" in text
    with (tmp_path / "page" / "statements.csv").open() as file:
        made = {row["item"]: row for row in csv.DictReader(file)}
    assert made["Fig. 4, τ retained"]["the paper"] == "best at 0.75"
    assert made["Fig. 4, τ retained"]["verdict"] == "not run"


def test_what_another_command_measured_is_on_the_page_under_its_own_heading(written):
    section = "\n\n# a comment\n\n### Setting\n\n[table4.json]"
    _, _, text = written.read_text().partition("## Table 4: storage and search time\n\n")
    assert section in text.partition("\n## ")[0]
    assert text.startswith("- Table 4, storage of MVKE: **reproduced**. The paper: +299% over one")


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
    origin = written.read_text().partition("## Where it was measured")[2]
    made = "2026-11-21, commit abc, 2 cores of some; 2026-11-22, commit abc, 2 cores of some."
    assert (
        "- `three` (a log of three stages), `sweeps`: 3 of 3 runs, 0.0 hours of training, "
        f"{made[:38]}" in origin
    )
    assert (
        f"- `two` (a log of two stages), `tables`: 8 of 8 runs, 0.0 hours of training, {made}"
        in origin
    )


def test_a_page_written_again_from_its_parts_is_the_same(written):
    text = written.read_text()
    assert write_page(STUDY, written.parent).read_text() == text


def test_what_is_said_of_a_figure_stands_beside_it(written):
    text = written.read_text()
    settings = text.partition("## Fig. 4 and Fig. 5: settings\n")[2].partition("\n## ")[0]
    assert "- Fig. 4, τ pruned: **" in settings
    assert settings.index("- Fig. 5b to d, weights k: **") < settings.index("![three-fig4-tau]")
    order = [settings.index(f"**Fig. 5{letter}: ") for letter in "abcd"]
    assert order == sorted(order)
    assert "**Fig. 5b: k_o, weight of clicks**" in settings


def test_every_claim_has_one_verdict_for_each_log(written):
    claims = written.read_text().partition("## The paper's claims\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in claims.splitlines() if line.startswith("| ")]
    titles = [log.title for log in STUDY.logs]
    assert rows[0] == ["| claim", *titles[:-1], f"{titles[-1]} |"]
    assert {len(row) for row in rows} == {1 + len(titles)}
    names = [row[0].removeprefix("| ") for row in rows]
    assert "Table 2, csmf, own lists" in names
    assert "Table 1, its second log (AliExpress)" in names
    assert len(set(names)) == len(names)
