"""All of the paper's claims together: in its order, with those that were not run or cannot be."""

from __future__ import annotations

from collections.abc import Sequence

from training.paper.statements import EVERY_PART, SETTINGS, WHOLE, Statement, best_at
from training.paper.study import Kind, StudyLog
from training.paper.table import NOT_RUN, Row, Table

UNTESTABLE = "not testable here"
ITEMS = (
    "Table 1",
    "Table 2",
    "Table 3",
    "Fig. 4",
    "Fig. 5a",
    "Fig. 5b to d",
    "Table 4",
    "Training time",
    "Online test",
)


def in_order(made: Sequence[Statement]) -> list[Statement]:
    """As the paper has them."""
    return sorted(made, key=lambda each: ITEMS.index(each.item.partition(",")[0]))


def not_run(log: StudyLog, kind: Kind) -> list[Statement]:
    """What a part would answer that has not been run; tables are named as such."""
    claims = {
        "tables": {},
        "ablations": {f"Table 3, {whole}": EVERY_PART for whole in WHOLE},
        "sweeps": {each.item: best_at(each) for each in SETTINGS},
    }[kind]
    return [Statement(item, log.title, paper, "", NOT_RUN) for item, paper in claims.items()]


def untestable() -> list[Statement]:
    """What takes the paper's users, or its logs."""
    here = "its published form names neither users nor items"
    return [
        Statement(
            "Table 1, its second log", "AliExpress", "a second, public log", here, UNTESTABLE
        ),
        Statement(
            "Online test",
            "live traffic",
            "+0.42 % RPM, +0.57 % CTR, +0.67 % CVR",
            "needs live traffic",
            UNTESTABLE,
        ),
    ]


def claim_table(made: Sequence[Statement], logs: Sequence[str]) -> Table:
    """The verdict on each claim by log; on what is no log of the study, in a row of its own."""
    rows: dict[str, list[Row]] = {"": [], "on other than these logs": []}
    for item in dict.fromkeys(each.item for each in made):
        on = {each.log: each for each in made if each.item == item}
        if not on.keys() <= {*logs}:
            rows["on other than these logs"] += [
                (f"{item} ({log})", each.verdict, *[""] * (len(logs) - 1))
                for log, each in on.items()
            ]
            continue
        rows[""].append((item, *(on[log].verdict if log in on else "–" for log in logs)))
    return Table("", ("claim", *logs), rows)


def statement_table(made: Sequence[Statement]) -> Table:
    """One line each, with figures."""
    rows: list[Row] = [(each.item, each.log, each.paper, each.here, each.verdict) for each in made]
    return Table("statements", ("item", "log", "the paper", "here", "verdict"), {"": rows})
