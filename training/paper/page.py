"""The page: every table and figure of the paper, measured again, and what became of its claims.

    keep_parts(study, logs, kinds, work, out)   reads work/<log>/judged, writes out/parts
    write_page(study, out)                      reads out/parts, writes out/README.md

Decisions
- Pure reading: whatever has been judged is shown, and what has not is said to be not run.
- One page: what became of the claims, the paper's tables and figures in its order, and then what it
  does not have. Each table is also a CSV with all
  digits; figures are PNGs.
- Parts that were not asked for stay as they were kept, with the commit that measured them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from bundle.writing import write_atomically
from training.paper.claims import claim_table, in_order, not_run, statement_table, untestable
from training.paper.findings import Findings, read_findings
from training.paper.fronts import Fronts
from training.paper.logs import table_1, table_1_row
from training.paper.parts import Part, keep, read_parts
from training.paper.run import Found
from training.paper.sections import (
    ABLATION,
    FRONT,
    GOALS,
    METHODS,
    SECTIONS,
    SETTINGS,
    WEIGHTS,
    Shown,
    judged_goals,
)
from training.paper.statements import SINGLE, Statement, on_layouts, overheads, statements
from training.paper.study import CORNER, OURS, PARTS, PLAIN, Kind, Study, StudyLog
from training.paper.table import NOT_RUN, Row, Table, link, linked
from training.paper.texts import COMMAND, HOW_TO_READ, OPENING, SAID, TIMED, TUNED
from training.paper.tune import read_choices

LAYOUTS = "table4"  # .json and .md, as `index_builder.layouts` writes them
GOAL_TABLE, LOG_TABLE, TIME_TABLE = "goals", "table1", "training-time"

GOAL_HEADER = (
    "log",
    "1 the largest front",
    "2 ahead of one retrained list",
    "3 within 2 % of fine-tuning",
)
TITLE = "# The paper's tables and figures, measured again"
SAYS = {METHODS: "Table 2", ABLATION: "Table 3", SETTINGS: "Fig."}  # how items of a section begin
BRIEFLY = METHODS  # its table has the figures


def keep_parts(
    study: Study, logs: Sequence[StudyLog], kinds: Sequence[Kind], work: Path, out: Path
) -> None:
    """Keep, of these logs, the parts of which anything has been judged."""
    out.mkdir(parents=True, exist_ok=True)
    for log in logs:
        found = read_findings(study, work, log)
        if found is None:
            continue
        shown = Shown(study, Fronts(found), out)
        for kind in kinds:
            wanted = study.part(kind, log)
            runs = [run for each, seed in wanted if (run := found.of(each.name).get(seed))]
            if runs:
                keep(_part(shown, kind, work, runs), out)


def _part(shown: Shown, kind: Kind, work: Path, runs: Sequence[Found]) -> Part:
    found = shown.fronts.findings
    rows: dict[str, Sequence[Row]] = {}
    if kind == "tables":
        outcomes = [each.outcome for each in judged_goals(shown)]
        rows = {
            GOAL_TABLE: [(found.log.title, *outcomes)],
            LOG_TABLE: [table_1_row(found.log, work)],
            TIME_TABLE: _overheads(found),
        }
    sections = {title: section(shown) for title, section in SECTIONS[kind].items()}
    return Part(
        log=found.log.name,
        kind=kind,
        provenance="; ".join(sorted({run.made for run in runs if run.made})),
        runs=len(runs),
        expected=len(shown.study.part(kind, found.log)),
        hours=sum(run.costs["seconds"] for run in runs) / 3600,
        statements=statements(shown.study, found, kind),
        rows=rows,
        sections=sections,
    )


def _overheads(found: Findings) -> list[Row]:
    return [
        (found.log.title, variant, *overheads(found, variant).values())
        for variant in (OURS, PLAIN.name)
        if found.of(variant)
    ]


def write_page(study: Study, out: Path) -> Path:
    """Write the page from the parts that are kept; returns its path."""
    out.mkdir(parents=True, exist_ok=True)
    parts = read_parts(study, out)
    page = Page(study, parts, out)
    sections = [
        page.claims(),
        page.headed("Table 1: the logs", page.table(table_1(study, page.rows(LOG_TABLE)))),
        page.section(METHODS),
        page.section(ABLATION),
        page.section(SETTINGS, also=WEIGHTS),
        page.layouts(),
        page.training_time(),
        page.section(GOALS, page.over_logs(GOAL_TABLE, GOAL_HEADER)),
        page.section(FRONT),
        page.headed("Speed of training", page.apart("speed", "training.paper.speed")),
        page.tuning(),
        page.headed("How to read it", HOW_TO_READ),
        page.headed("Where it was measured", page.origin()),
    ]
    text = [TITLE, contents(sections), *sections]
    file = out / "README.md"
    write_atomically(file, ("\n\n".join(text) + "\n").encode())
    return file


def contents(sections: Sequence[str]) -> str:
    """Links to all sections."""
    titles = [section.partition("\n")[0].removeprefix("## ") for section in sections]
    return " · ".join(f"[{title}](#{_anchor(title)})" for title in titles)


def _anchor(title: str) -> str:
    """As pages of markdown name their headings."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


class Page:
    """What is kept of a study, section by section."""

    def __init__(self, study: Study, parts: Sequence[Part], out: Path) -> None:
        self._study, self._parts, self._out = study, parts, out

    def origin(self) -> str:
        """Where it all comes from, what is missing, and how to make it again."""
        study, parts = self._study, self._parts
        expected = sum(len(study.runs(log)) for log in study.logs)
        titles = {log.name: log.title for log in study.logs}
        said = [
            f"{sum(part.runs for part in parts)} of {expected} runs, {study.seeds} seeds a method "
            f"({study.few} in ablations and sweeps); {sum(part.hours for part in parts):.1f} hours "
            "of training, counting an exposure model in every run that starts from it.",
            "",
            *(
                f"- `{part.log}` ({titles[part.log]}), `{part.kind}`: {part.runs} of "
                f"{part.expected} runs, {part.hours:.1f} hours of training, {part.provenance}."
                for part in parts
            ),
            *(
                f"- `{log.name}` ({log.title}), `{kind}`: {NOT_RUN}."
                for log, kind in self._missing()
            ),
            "",
            f"A part is made by `{COMMAND}`, all of them by `make paper`. `tables` are Tables 1 "
            "and 2, the front, Fig. 5b to d and training time; `ablations` are Table 3, `sweeps` "
            "Fig. 4 and 5a.",
        ]
        return "\n".join(said).strip()

    def _missing(self) -> list[tuple[StudyLog, Kind]]:
        """Parts of the study of which nothing is kept."""
        kept = {(part.log, part.kind) for part in self._parts}
        return [
            (log, kind)
            for log in self._study.logs
            for kind in PARTS
            if self._study.part(kind, log) and (log.name, kind) not in kept
        ]

    def rows(self, table: str) -> list[Row]:
        """Of a table over all logs."""
        return [row for part in self._parts for row in part.rows.get(table, ())]

    @cached_property
    def _statements(self) -> Sequence[Statement]:
        """On all of the paper's claims, in its order."""
        made = [each for part in self._parts for each in part.statements]
        made += [each for log, kind in self._missing() for each in not_run(log, kind)]
        layouts = self._out / f"{LAYOUTS}.json"
        if layouts.exists():
            made += on_layouts(json.loads(layouts.read_text("utf-8")))
        return in_order([*made, *untestable()])

    def claims(self) -> str:
        """What became of the paper's claims."""
        table = claim_table(self._statements, [log.title for log in self._study.logs])
        every = self.file(statement_table(self._statements))
        said = f"With figures beside the tables below, and in {every}."
        return self.headed("The paper's claims", OPENING, table.markdown(), said)

    def said(self, items: str, log: str = "", *, briefly: bool = False) -> list[str]:
        """What is said of some items, on one log or all."""
        lines = [
            f"- {each.item}: **{each.verdict}**."
            + ("" if briefly else f" The paper: {each.paper}. Here: {each.here or '–'}.")
            for each in self._statements
            if each.item.startswith(items) and log in ("", each.log)
        ]
        return ["\n".join(lines)] if lines else []

    def section(self, title: str, *before: str, also: str = "") -> str:
        """A heading for each log that has something here, and what it has."""
        parts = []
        for log in self._study.logs:
            said = [
                text
                for wanted in (title, also)
                for part in self._parts
                if part.log == log.name and (text := part.sections.get(wanted))
            ]
            if said:
                if title in SAYS:
                    said[:0] = self.said(SAYS[title], log.title, briefly=title == BRIEFLY)
                parts += [f"### {log.title}", *said]
        return self.headed(title, SAID[title], *before, *parts)

    def over_logs(self, name: str, header: tuple[str, ...]) -> str:
        """A table over all logs."""
        return self.table(Table(name, header, {"": self.rows(name)}))

    def layouts(self) -> str:
        """Table 4."""
        text = self.apart(LAYOUTS, "index_builder.layouts")
        return self.headed("Table 4: storage and search time", *self.said("Table 4"), text)

    def training_time(self) -> str:
        """Training overhead."""
        header = ("log", "cascade", f"over {SINGLE}", f"over {CORNER}")
        rows = [*self.rows(TIME_TABLE), ("the paper's", "", "1.349", "")]
        table = self.table(Table(TIME_TABLE, header, {"": rows}))
        return self.headed("Training time", TIMED, table)

    def apart(self, stem: str, module: str) -> str:
        """A page that another command left beside this one, without its title."""
        file = self._out / f"{stem}.md"
        if not file.exists():
            return f"{NOT_RUN.capitalize()}: `python -m {module}` measures it."
        _title, _, text = file.read_text("utf-8").partition("\n")
        text = text.replace("\n## ", "\n### ").strip()
        return f"{text}\n\n[{stem}.json]({stem}.json)"

    def tuning(self) -> str:
        """What was chosen for each method."""
        rows: dict[str, list[Row]] = {
            name: [
                (
                    method.replace("|", ", "),
                    " ".join(chosen["settings"]) or "as preset",
                    len(chosen["scores"]),
                    f"csmf-log {chosen['log'].replace('{raw}', 'FILE').partition(' --out')[0]}",
                )
                for method, chosen in choice.items()
            ]
            for name, choice in read_choices(self._out).items()
        }
        if not rows:
            return self.headed("Tuning", "No method was tuned: all run as preset.")
        table = Table("tuned", ("method", "chosen", "trials", "on"), rows)
        return self.headed("Tuning", TUNED, self.table(table))

    def table(self, table: Table) -> str:
        """The table, with a link to its file."""
        return linked(table, self._out)

    def file(self, table: Table) -> str:
        """A link to the table's file alone."""
        return link(table, self._out)

    @staticmethod
    def headed(title: str, *parts: str) -> str:
        """A section."""
        return "\n\n".join([f"## {title}", *parts])
