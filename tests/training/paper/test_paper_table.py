"""Tables for people and for programs."""

import csv
import io

from training.evaluation.intervals import Difference
from training.paper.table import Mean, Table, together

LEAD = Difference(0.01, -0.005, 0.025, 0.2)


def test_means_show_their_spread_and_differences_their_interval():
    table = Table("t", ("method", "recall", "lead"), {"": [("a", Mean(0.5, 0.01, 5), LEAD)]})
    expected = "| a | 0.500 ± 0.010 | +0.010 (-0.005 to +0.025), p 0.200 |"
    assert table.markdown().splitlines()[-1] == expected


def test_the_mean_of_one_seed_has_no_spread():
    assert Mean.of([0.5]) == Mean(0.5, None, 1)
    assert Mean.of([]) is None


def test_what_has_not_been_run_is_said_once():
    table = Table("t", ("method", "recall", "lead"), {"": [("a", None, None)]})
    assert table.markdown().splitlines()[-1] == "| a | not run |  |"


def test_the_file_has_all_digits_a_column_for_each_part_and_the_heading():
    rows = {"first": [("a", Mean(1 / 3, 0.01, 5), LEAD)], "second": [("b", None, "")]}
    text = Table("t", ("method", "recall", "lead"), rows).csv()
    first, second = csv.DictReader(io.StringIO(text))
    assert float(first["recall"]) == 1 / 3
    assert (first["group"], first["recall seeds"], first["lead p"]) == ("first", "5", "0.2")
    assert (second["group"], second["recall"], second["lead high"]) == ("second", "", "")


def test_tables_of_one_header_become_one_file():
    tables = {name: Table("t", ("method",), {"g": [(name,)]}) for name in ("x", "y")}
    assert together("all", tables).csv() == "group,method\nx; g,x\ny; g,y\n"
