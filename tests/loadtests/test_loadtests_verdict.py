"""Thresholds: what passes, what is missed, what is refused."""

import math
from pathlib import Path

import pytest

from loadtests.verdict import (
    Threshold,
    ThresholdsError,
    as_table,
    judge,
    read_table,
    read_thresholds,
)

SHIPPED = Path(__file__).parents[2] / "loadtests" / "thresholds.toml"
STATS = """Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,\
Min Response Time,Max Response Time,Average Content Size,Requests/s,Failures/s,50%,95%,99%
POST,retrieve,200,3,9,10.0,5.0,120.5,900,98.5,1.5,9,20,55
PROBE,weights visible,0,0,0,0,0,0,0,0,0,N/A,N/A,N/A
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "stats.csv"
    path.write_text(STATS)
    return read_table(path)


@pytest.mark.parametrize(
    ("threshold", "met"),
    [
        (Threshold("retrieve", "p99_ms", at_most=55), True),
        (Threshold("retrieve", "p99_ms", at_most=54), False),
        (Threshold("retrieve", "requests_per_second", at_least=98.5), True),
        (Threshold("retrieve", "requests_per_second", at_least=99), False),
        (Threshold("retrieve", "failure_ratio", at_most=0.015), True),
        (Threshold("retrieve", "failure_ratio", at_most=0), False),
        (Threshold("weights visible", "p99_ms", at_most=100), False),
        (Threshold("no such row", "requests", at_least=0), False),
    ],
)
def test_a_threshold_is_met_within_its_bound_and_never_by_a_figure_that_is_missing(
    table, threshold, met
):
    assert judge(table, [threshold])[0].met is met


def test_the_table_of_verdicts_says_what_was_reached_against_which_bound(table):
    text = as_table(judge(table, [Threshold("retrieve", "p99_ms", at_most=50)]))
    assert text.splitlines()[-1].split() == ["retrieve", "p99_ms", "55", "≤", "50", "MISSED"]


def test_the_thresholds_that_ship_are_usable_and_allow_no_failure():
    shipped = read_thresholds(SHIPPED)
    allowed = {t.row: t.at_most for t in shipped if t.figure == "failure_ratio"}
    assert allowed == {"retrieve": 0, "set weights": 0, "weights visible": 0}
    visible = next(t for t in shipped if (t.row, t.figure) == ("weights visible", "p99_ms"))
    assert visible.at_most <= 100
    assert math.isinf(visible.at_least)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "threshold"),
        ("[[threshold]]\nrow = 'a'\nfigure = 'p42'\nat_most = 1", "figure: expected one of"),
        ("[[threshold]]\nrow = 'a'\nfigure = 'p99_ms'", "at_most, at_least or both"),
        ("[[threshold]]\nrow = 'a'\nfigure = 'p99_ms'\nat_most = 'x'", "expected a number"),
        ("[[threshold]]\nrow = 'a'\nfigure = 'p99_ms'\nmax = 1", "max: expected"),
        ("[[threshold]]\nfigure = 'p99_ms'\nat_most = 1", "row: expected"),
        ("not toml", "expected"),
    ],
)
def test_a_thresholds_file_that_cannot_be_used_names_the_file_and_the_field(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ThresholdsError, match=r"mine\.toml") as caught:
        read_thresholds(path)
    assert said in str(caught.value)
