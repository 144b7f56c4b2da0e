"""The sections of the page, each with the tables and pictures that belong to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle.writing import write_atomically
from training.paper.figures import front_picture
from training.paper.fronts import CORNER, LISTS, Fronts
from training.paper.gains import gain_table, worth_of_exposures, worth_of_the_cascade
from training.paper.logs import table_1
from training.paper.statements import (
    ITEMS,
    on_layouts,
    online,
    overheads,
    statement_table,
    statements,
)
from training.paper.study import PLAIN, Study
from training.paper.sweeps import file_name, sweep_picture, sweep_table, trained, weighed
from training.paper.table import NOT_RUN, Row, Table, together
from training.paper.tables import (
    OURS,
    VIEWS,
    cold_slices,
    costs,
    every_metric,
    hypervolumes,
    table_2,
    table_3,
)
from training.paper.tune import read_choices
from training.paper.verdicts import verdict_table, verdicts

LAYOUTS = "table4"  # .json and .md, as `index_builder.layouts` writes them


@dataclass(frozen=True)
class Shown:
    """What the page is about, and where it is written."""

    study: Study
    fronts: Sequence[Fronts]  # of the logs that have been judged
    out: Path

    def table(self, table: Table) -> str:
        """The table, with a link to its file."""
        return f"{table.markdown()}\n\n{self.file(table)}"

    def file(self, table: Table) -> str:
        """A link to the table's file alone."""
        write_atomically(self.out / f"{table.name}.csv", table.csv().encode())
        return f"[{table.name}.csv]({table.name}.csv)"

    def picture(self, name: str, image: bytes) -> str:
        """The picture, as a file."""
        write_atomically(self.out / f"{name}.png", image)
        return f"![{name}]({name}.png)"

    def per_log(self, section: Callable[[Fronts], list[str]], *, swept: bool = False) -> list[str]:
        """A heading for each log, or each with ablations and sweeps, and its part of a section."""
        return [
            part
            for each in self.fronts
            if each.findings.log.sweeps or not swept
            for part in (f"### {each.findings.log.title}", *section(each))
        ]


def claims(shown: Shown) -> str:
    """What became of the paper's claims."""
    made = [each for front in shown.fronts for each in statements(shown.study, front.findings)]
    layouts = shown.out / f"{LAYOUTS}.json"
    if layouts.exists():
        made += on_layouts(json.loads(layouts.read_text("utf-8")))
    made.append(online())
    made.sort(key=lambda each: ITEMS.index(each.item.partition(",")[0]))
    said = "The paper's figures are of a private log: what can be reproduced is a direction."
    return _section("The paper's claims", said, shown.table(statement_table(made)))


def goals(shown: Shown) -> str:
    """Whether CSMF, by the preset `default`, wins."""

    def of(fronts: Fronts) -> list[str]:
        given = verdicts(shown.study, fronts)
        rows: list[Row] = [(each.goal, each.outcome, each.sentence) for each in given]
        summary = Table("", ("goal", "outcome", "found"), {"": rows})
        behind = shown.file(verdict_table(fronts.findings, given))
        return [summary.markdown(), f"Every comparison behind these: {behind}"]

    said = (
        "CSMF by the preset `default`, with what tuning chose for the log (Tuning, below), 64 "
        "dimensions, one search. (1) Its front holds more than "
        "that of every rival, than all lists of retrained models pooled, than two fine-tuned "
        "models joined to 128 dimensions. (2) At some weights, chosen on validation, its fused "
        "list is ahead of the best-tuned youtubednn-mix on both objectives. (3) Its list for each "
        "objective is within 2 % of every model fine-tuned for that objective."
    )
    outcomes: list[Row] = [
        (front.findings.log.title, *(each.outcome for each in verdicts(shown.study, front)))
        for front in shown.fronts
    ]
    summary = Table("goals", ("log", "goal 1", "goal 2", "goal 3"), {"": outcomes})
    return _section("Is it the best?", said, shown.table(summary), *shown.per_log(of))


def logs(shown: Shown, work: Path) -> str:
    """Table 1."""
    return _section("Table 1: the logs", shown.table(table_1(shown.study.logs, work)))


def methods(shown: Shown) -> str:
    """Table 2, with what methods cost."""

    def of(fronts: Fronts) -> list[str]:
        found, study = fronts.findings, shown.study
        counts = {stage: found.counts(stage) for stage in found.stages}
        judged = ", ".join(
            f"{each['requests']:,} with {each['positives']:,} {stage}s"
            for stage, each in counts.items()
        )
        parts = [
            f"Page views judged: {judged}. All figures: {shown.file(every_metric(study, found))}",
            shown.table(gain_table(study, found)),
            worth_of_exposures(study, found),
            worth_of_the_cascade(fronts),
        ]
        tables = {
            f"{stage}, {view} list": table_2(study, found, stage, view)
            for view in VIEWS
            for stage in found.stages
        }
        for title, table in tables.items():
            main = title.startswith(found.stages[-2:])
            text = table.markdown()
            parts.append(f"**{title}**\n\n{text}" if main else _folded(title, text))
        parts.append(shown.file(together(f"{found.log.name}-table2", tables)))
        cold, cost = shown.table(cold_slices(study, found)), shown.table(costs(study, found))
        cold_title = "Cold items and cold users: recall@50 of the own list (positives)"
        return [*parts, _folded(cold_title, cold), _folded("Costs", f"{COSTS}\n\n{cost}")]

    said = (
        "The paper: CSMF has 0.3177 click recall@50, +6.61 % over the best rival, and 0.3694 "
        "conversion recall@50, +7.51 %. The fused list of a method with a model per objective is "
        "that of its last two joined in equal parts: twice the dimensions, but for `dmmp`, whose "
        "models share their items, so that it is the sum of its user vectors."
    )
    return _section("Table 2: methods", said, *shown.per_log(of))


COSTS = (
    "Parameters trained are those of all networks of a method, the exposure model's among them; "
    "served are those of all its models, towers that they share once. Of a model per objective, "
    "dimensions, searches and bytes are those of the last two objectives: searched one by one, or "
    "joined to one vector. `dmmp`'s two share their items: joined is the sum of its user vectors. "
    "After the exposure model, LoRA trains what it has beyond what it serves, BitFit biases alone."
)


def fronts(shown: Shown) -> str:
    """The front of the last two objectives."""

    def of(each: Fronts) -> list[str]:
        zero = "the exposure model's own list" if each.from_exposure else "no recall at all"
        image = front_picture(shown.study, each)
        return [
            shown.picture(f"{each.findings.log.name}-front", image),
            f"Hypervolume 0 is {zero}, 1 what the models of {CORNER} reach at once.",
            shown.table(hypervolumes(shown.study, each)),
        ]

    said = (
        "Weights trade objectives without training again, so a method is all the lists that it can "
        f"serve. Of each front at most {LISTS} lists are kept, on validation; their hypervolume is "
        "that on test. The pictures show all lists of the mean front, means over seeds."
    )
    return _section("The front", said, *shown.per_log(of))


def ablation(shown: Shown) -> str:
    """Table 3, and what the preset departs from the paper by."""

    def of(each: Fronts) -> list[str]:
        tables = {view: shown.table(table_3(shown.study, each, view)) for view in VIEWS}
        return [part for view, table in tables.items() for part in (f"**{view} list**", table)]

    said = (
        "CSMF is the preset `default`; the plain cascade is the preset `plain`, which has only "
        "nested recovery, mixed negatives and replay beside the paper's parts. Each row leaves out "
        "a part or takes back a departure from the paper; `paper's settings` takes back all. A "
        "lead is that of the first row of its group."
    )
    return _section("Table 3: ablation", said, *shown.per_log(of, swept=True))


def settings(shown: Shown) -> str:
    """Fig. 4 and 5."""

    def of(each: Fronts) -> list[str]:
        found, parts = each.findings, []
        sweeps = [trained(found, "tau"), trained(found, "eta")]
        sweeps += [weighed(found, stage) for stage in reversed(found.stages)]
        for sweep in sweeps:
            name = f"{found.log.name}-{file_name(sweep)}"
            table = sweep_table(found, sweep)
            if sweep.run:
                image = shown.picture(name, sweep_picture(found, sweep))
                parts += [image, _folded(name, shown.table(table))]
            else:
                parts.append(f"{name}: {NOT_RUN}.")
        return parts

    said = (
        "Fig. 4: τ is the share of information pruned; read from the axis on top, the share "
        "retained: both readings of the paper. Fig. 5a: η. Fig. 5b to d: one weight varied, the "
        "others at ⟨1, 1.8, 1.2⟩, nothing trained. Dotted: the paper's setting."
    )
    return _section("Fig. 4 and Fig. 5: settings", said, *shown.per_log(of, swept=True))


def layouts(shown: Shown) -> str:
    """Table 4."""
    title = "Table 4: storage and search time"
    return _section(title, _measured_apart(shown, LAYOUTS, "index_builder.layouts"))


def speed(shown: Shown) -> str:
    """Training against peers."""
    return _section("Speed of training", _measured_apart(shown, "speed", "training.paper.speed"))


def _measured_apart(shown: Shown, stem: str, module: str) -> str:
    """A page that another command left beside this one, without its title."""
    file = shown.out / f"{stem}.md"
    if not file.exists():
        return f"{NOT_RUN.capitalize()}: `python -m {module}` measures it."
    _title, _, text = file.read_text("utf-8").partition("\n")
    text = text.replace("\n## ", "\n### ").strip()
    return f"{text}\n\n[{stem}.json]({stem}.json)"


def training_time(shown: Shown) -> str:
    """Training overhead."""
    rows: list[Row] = [
        (each.findings.log.title, variant, *overheads(each.findings, variant).values())
        for each in shown.fronts
        for variant in (OURS, PLAIN.name)
        if each.findings.of(variant)
    ]
    rows.append(("the paper's", "", "1.349", ""))
    header = ("log", "cascade", "over its own exposure phase", f"over {CORNER}")
    said = (
        "Seconds of CSMF over those of its own first phase, which trains one objective on as many "
        "exposures, and over a model fine-tuned per objective; runs are timed beside others on the "
        "same machine."
    )
    table = Table("training-time", header, {"": rows})
    return _section("Training time", said, shown.table(table))


def tuning(shown: Shown) -> str:
    """What was chosen for each method."""
    choices = read_choices(shown.out)
    rows: dict[str, list[Row]] = {
        name: [
            (method, " ".join(chosen["settings"]) or "as preset", len(chosen["scores"]))
            for method, chosen in choice.items()
        ]
        for name, choice in choices.items()
    }
    if not rows:
        return _section("Tuning", "No method was tuned: all run as preset.")
    said = (
        "Each method had as many trials with two seeds, and from scratch a longer one more, judged "
        "on validation by the product of the "
        "last two recalls: [tuned.json](tuned.json)."
    )
    return _section(
        "Tuning", said, shown.table(Table("tuned", ("method", "chosen", "trials"), rows))
    )


def _section(title: str, *parts: str) -> str:
    return "\n\n".join([f"## {title}", *parts])


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"
