"""Tables 2 and 3, and what methods cost."""

from dataclasses import replace

import pytest
from support.judged import QUERIES, found

from training.paper.findings import Findings
from training.paper.fronts import Fronts
from training.paper.study import QUICK
from training.paper.table import NOT_RUN, Mean
from training.paper.tables import cold_slices, costs, every_metric, table_2, table_3

STAGES = ("exposure", "click", "conversion")
LOG = QUICK.logs[0]
LEVELS = {"csmf": 0.6, "full-ft": 0.6, "dmmp": 0.5, "youtubednn-sep": 0.4, "with AML": 0.5}


@pytest.fixture(scope="module")
def findings():
    variants = {variant.name: variant for variant, _ in QUICK.runs(LOG)}
    runs = {
        name: {seed: found(variants[name], STAGES, level, seed) for seed in range(2)}
        for name, level in LEVELS.items()
    }
    return Findings(LOG, runs)


def rows(table, group="from the exposure model"):
    return {row[0]: row[1:] for row in table.groups[group]}


def test_the_two_views_judge_different_lists(findings):
    own, fused = (table_2(QUICK, findings, "click", view) for view in ("own", "fused"))
    assert rows(own)["csmf"][0] == Mean(pytest.approx(0.6), 0.0, 2)
    assert rows(fused)["csmf"][0] == Mean(pytest.approx(0.55), 0.0, 2)


def test_methods_from_scratch_are_apart(findings):
    table = table_2(QUICK, findings, "click", "own")
    scratch = rows(table, "from scratch")
    assert scratch["youtubednn-sep"][0].value == pytest.approx(0.4)
    assert "youtubednn-sep" not in rows(table)
    assert all(name == "youtubednn-sep" or "from scratch" in name for name in scratch)


def test_the_lead_is_csmf_minus_the_method(findings):
    table = rows(table_2(QUICK, findings, "click", "own"))
    assert table["dmmp"][-1].estimate == pytest.approx(0.1, abs=1 / QUERIES)
    assert table["csmf"][-1] == ""


def test_a_method_that_was_not_run_keeps_its_row(findings):
    table = table_2(QUICK, findings, "click", "own")
    assert rows(table)["lora"] == (None,) * 5
    assert f"| lora | {NOT_RUN} |" in table.markdown()


def test_a_slice_of_nothing_has_no_recall(findings):
    empty = {"requests": 0, "positives": 0}
    runs = {
        name: {
            seed: replace(
                run,
                objectives={
                    stage: each | {"slices": each["slices"] | {"cold_items": empty}}
                    for stage, each in run.objectives.items()
                },
            )
            for seed, run in seeds.items()
        }
        for name, seeds in findings.runs.items()
    }
    judged = Findings(LOG, runs)
    assert rows(cold_slices(QUICK, judged))["csmf"][0] == "–"
    parts = {row[3] for row in every_metric(QUICK, judged, "tables").groups[""]}
    assert parts == {"all", "seen_items", "cold_users"}


def test_what_serves_the_last_two_objectives_is_what_counts(findings):
    table = costs(QUICK, findings)
    serving = {name: row[5:] for name, row in rows(table).items() if row[0] is not None}
    assert serving["csmf"] == ("64", "64", "1", 128, 256)
    assert serving["full-ft"] == ("2 × 64", "2 × 64", "2, or 1 of 128", 256, 512)


def test_models_that_share_their_items_are_joined_at_no_cost_and_their_towers_counted_once(
    findings,
):
    table = rows(costs(QUICK, findings))
    assert table["dmmp"][5:] == ("2 × 64", "64", "2, or 1 of 64", 128, 256)
    (last, one), (_, several) = table["dmmp"][1:3], table["full-ft"][1:3]
    assert (last, one, several) == (100, 1000, 3000)


def test_an_ablation_is_held_against_csmf_in_recall_and_hypervolume(findings):
    table = rows(table_3(QUICK, Fronts(findings), "own"), "against CSMF")
    click, click_lead, *_, volume, volume_lead = table["with AML"]
    assert click.value == pytest.approx(0.5)
    assert click_lead.estimate == pytest.approx(0.1)
    assert volume.value == 0
    assert volume_lead.estimate == pytest.approx(0.25)
