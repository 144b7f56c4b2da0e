"""The page: every table and figure of the paper, measured again, and what became of its claims.

    keep_parts(study, logs, kinds, work, out)   reads work/<log>/judged, writes out/parts
    write_page(study, out)                      reads out/parts, writes out/README.md

Decisions
- Pure reading: whatever has been judged is shown, and what has not is said to be not run.
- One page, in the order of the paper after what it comes to. Each table is also a CSV with all
  digits; figures are PNGs.
- Parts that were not asked for stay as they were kept, with the commit that measured them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bundle.writing import write_atomically
from training.paper.findings import Findings, read_findings
from training.paper.fronts import LISTS, Fronts
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
from training.paper.statements import (
    ITEMS,
    not_run,
    on_layouts,
    online,
    overheads,
    statement_table,
    statements,
)
from training.paper.study import CORNER, OURS, PARTS, PLAIN, Kind, Study, StudyLog
from training.paper.table import NOT_RUN, Row, Table
from training.paper.tune import read_choices

LAYOUTS = "table4"  # .json and .md, as `index_builder.layouts` writes them
GOAL_TABLE, LOG_TABLE, TIME_TABLE = "goals", "table1", "training-time"

COMMAND = (
    "python -m training.paper --out docs/results/paper --work paper-work --logs LOG --parts PART "
    "[--raw LOG=FILE]"
)
HOW_TO_READ = """\
Recall and nDCG are over the whole catalogue, per page view, means over page views with a positive
(macro; micro is in `*-metrics.csv`), ± the standard deviation between seeds. A difference has its
95 % interval in brackets and a two-sided p: a bootstrap over users, with all their page views, and
seeds, both sides answering the same draw, seed by seed. Everything that is chosen (settings,
weights, points of a front) is chosen on a validation period; figures are of the period after it.
"Own list" is the list that a method makes for the objective it is judged on, "fused list" its one
list for all; they are never compared with each other. "Held" means shown at 95 %, "not held" that
the opposite was shown, "within noise" neither. Where a log has no exposures, the model of its first
stage takes the exposure model's place. What surprises is explained, or said to be open, in
`docs/paper.md`."""
SAID = {
    GOALS: (
        "CSMF by the preset `default`, with what tuning chose for the log (Tuning, below), 64 "
        "dimensions, one search. (1) Its front holds more than "
        "that of every rival, than all lists of retrained models pooled, than two fine-tuned "
        "models joined to 128 dimensions. (2) At some weights, chosen on validation, its fused "
        "list is ahead of the best-tuned youtubednn-mix on both objectives. (3) Its list for each "
        "objective is within 2 % of every model fine-tuned for that objective."
    ),
    METHODS: (
        "The paper: CSMF has 0.3177 click recall@50, +6.61 % over the best rival, and 0.3694 "
        "conversion recall@50, +7.51 %. The fused list of a method with a model per objective is "
        "that of its last two joined in equal parts: twice the dimensions, but for `dmmp`, whose "
        "models share their items, so that it is the sum of its user vectors."
    ),
    FRONT: (
        "Weights trade objectives without training again, so a method is all the lists that it can "
        f"serve. Of each front at most {LISTS} lists are kept, on validation; their hypervolume is "
        "that on test. The pictures show all lists of the mean front, means over seeds."
    ),
    ABLATION: (
        "CSMF is the preset `default`; the plain cascade is the preset `plain`, which has only "
        "nested recovery, mixed negatives and replay beside the paper's parts. Each row leaves out "
        "a part or takes back a departure from the paper; `paper's settings` takes back all. A "
        "lead is that of the first row of its group."
    ),
    SETTINGS: (
        "Fig. 4: τ is the share of information pruned; read from the axis on top, the share "
        "retained: both readings of the paper. Fig. 5a: η. Fig. 5b to d: one weight varied, the "
        "others at ⟨1, 1.8, 1.2⟩, nothing trained. Dotted: the paper's setting."
    ),
}


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
    text = [
        "# The paper's tables and figures, measured again",
        page.opening(),
        HOW_TO_READ,
        page.claims(),
        page.section(GOALS, page.over_logs(GOAL_TABLE, ("log", "goal 1", "goal 2", "goal 3"))),
        page.headed("Table 1: the logs", page.table(table_1(study, page.rows(LOG_TABLE)))),
        page.section(METHODS),
        page.section(FRONT),
        page.section(ABLATION),
        page.section(SETTINGS, also=WEIGHTS),
        page.headed(
            "Table 4: storage and search time", page.apart(LAYOUTS, "index_builder.layouts")
        ),
        page.training_time(),
        page.headed("Speed of training", page.apart("speed", "training.paper.speed")),
        page.tuning(),
    ]
    file = out / "README.md"
    write_atomically(file, ("\n\n".join(text) + "\n").encode())
    return file


class Page:
    """What is kept of a study, section by section."""

    def __init__(self, study: Study, parts: Sequence[Part], out: Path) -> None:
        self._study, self._parts, self._out = study, parts, out

    def opening(self) -> str:
        """Where it all comes from, and what is missing."""
        study, parts = self._study, self._parts
        expected = sum(len(study.runs(log)) for log in study.logs)
        titles = {log.name: log.title for log in study.logs}
        said = [
            f"{sum(part.runs for part in parts)} of {expected} runs, {study.seeds} seeds a method "
            f"({study.few} in ablations and sweeps); {sum(part.hours for part in parts):.1f} hours "
            "of training, counting an exposure model in every run that starts from it.",
            "",
            *(
                f"- {titles[part.log]}, {part.kind}: {part.runs} of {part.expected} runs, "
                f"{part.hours:.1f} hours of training, {part.provenance}."
                for part in parts
            ),
            *(f"- {log.title}, {kind}: {NOT_RUN}." for log, kind in self._missing()),
            "",
            f"A part is made by `{COMMAND}`, all of them by `make paper`.",
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

    def claims(self) -> str:
        """What became of the paper's claims."""
        made = [each for part in self._parts for each in part.statements]
        made += [each for log, kind in self._missing() for each in not_run(log, kind)]
        layouts = self._out / f"{LAYOUTS}.json"
        if layouts.exists():
            made += on_layouts(json.loads(layouts.read_text("utf-8")))
        made.append(online())
        made.sort(key=lambda each: ITEMS.index(each.item.partition(",")[0]))
        said = "The paper's figures are of a private log: what can be reproduced is a direction."
        return self.headed("The paper's claims", said, self.table(statement_table(made)))

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
                parts += [f"### {log.title}", *said]
        return self.headed(title, SAID[title], *before, *parts)

    def over_logs(self, name: str, header: tuple[str, ...]) -> str:
        """A table over all logs."""
        return self.table(Table(name, header, {"": self.rows(name)}))

    def training_time(self) -> str:
        """Training overhead."""
        header = ("log", "cascade", "over its own exposure phase", f"over {CORNER}")
        rows = [*self.rows(TIME_TABLE), ("the paper's", "", "1.349", "")]
        said = (
            "Seconds of CSMF over those of its own first phase, which trains one objective on as "
            "many exposures, and over a model fine-tuned per objective; runs are timed beside "
            "others on the same machine."
        )
        return self.headed("Training time", said, self.table(Table(TIME_TABLE, header, {"": rows})))

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
                (method, " ".join(chosen["settings"]) or "as preset", len(chosen["scores"]))
                for method, chosen in choice.items()
            ]
            for name, choice in read_choices(self._out).items()
        }
        if not rows:
            return self.headed("Tuning", "No method was tuned: all run as preset.")
        said = (
            "Each method had as many trials with two seeds, judged on validation by the product of "
            "the last two recalls: [tuned.json](tuned.json). From scratch a longer one more is "
            "made today; a choice out of four is from before."
        )
        table = Table("tuned", ("method", "chosen", "trials"), rows)
        return self.headed("Tuning", said, self.table(table))

    def table(self, table: Table) -> str:
        """The table, with a link to its file."""
        write_atomically(self._out / f"{table.name}.csv", table.csv().encode())
        return f"{table.markdown()}\n\n[{table.name}.csv]({table.name}.csv)"

    @staticmethod
    def headed(title: str, *parts: str) -> str:
        """A section."""
        return "\n\n".join([f"## {title}", *parts])
