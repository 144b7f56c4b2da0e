"""The sections of one log, each with the tables and pictures that belong to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bundle.writing import write_atomically
from training.paper.figures import front_picture
from training.paper.findings import Findings
from training.paper.fronts import Fronts
from training.paper.gains import gain_table, worth_of_pretraining
from training.paper.study import CORNER, Kind, Study
from training.paper.sweeps import (
    WEIGHT_OF,
    Sweep,
    figure,
    file_name,
    sweep_picture,
    sweep_table,
    trained,
    weighed,
)
from training.paper.table import NOT_RUN, Row, Table, link, linked, together
from training.paper.tables import (
    VIEWS,
    cold_slices,
    costs,
    every_metric,
    hypervolumes,
    table_2,
    table_2_brief,
    table_3,
)
from training.paper.verdicts import Verdict, verdict_table, verdicts


@dataclass(frozen=True)
class Shown:
    """The log that is written about, and where its tables and pictures go."""

    study: Study
    fronts: Fronts
    out: Path

    def table(self, table: Table) -> str:
        """The table, with a link to its file."""
        return linked(table, self.out)

    def file(self, table: Table) -> str:
        """A link to the table's file alone."""
        return link(table, self.out)

    def figures(self, kind: Kind) -> str:
        """A link to all figures of a part."""
        return self.file(every_metric(self.study, self.fronts.findings, kind))

    def picture(self, name: str, image: bytes) -> str:
        """The picture, as a file."""
        write_atomically(self.out / f"{name}.png", image)
        return f"![{name}]({name}.png)"


def goals(shown: Shown) -> str:
    """Whether CSMF, by the preset `default`, wins."""
    given = judged_goals(shown)
    rows: list[Row] = [(each.goal, each.outcome, each.sentence) for each in given]
    summary = Table("", ("goal", "outcome", "found"), {"": rows})
    behind = shown.file(verdict_table(shown.fronts.findings, given))
    return f"{summary.markdown()}\n\nEvery comparison behind these: {behind}"


def judged_goals(shown: Shown) -> list[Verdict]:
    """The three of them."""
    return verdicts(shown.study, shown.fronts)


def methods(shown: Shown) -> str:
    """Table 2, with what methods cost."""
    found, study = shown.fronts.findings, shown.study
    counts = {stage: found.counts(stage) for stage in found.stages}
    judged = ", ".join(
        f"{each['requests']:,} with {each['positives']:,} {stage}s"
        for stage, each in counts.items()
    )
    parts = [
        f"Page views judged: {judged}. All figures: {shown.figures('tables')}",
        seeds_made(study, found),
        shown.table(gain_table(study, found)),
        worth_of_pretraining(found),
    ]
    tables = {
        f"{stage}, {view} list": table_2(study, found, stage, view)
        for view in VIEWS
        for stage in found.stages
    }
    every = shown.file(together(f"{found.log.name}-table2", tables))
    cold, cost = shown.table(cold_slices(study, found)), shown.table(costs(study, found))
    cold_title = "Cold items and cold users: recall@50 of the fused list (positives)"
    return "\n\n".join(
        [
            *parts,
            f"**Recall@50**\n\n{table_2_brief(study, found).markdown()}",
            f"At 100 and 500, nDCG@50, the exposures, and CSMF's lead over each: {every}",
            _folded(cold_title, cold),
            _folded("Costs", f"{COSTS}\n\n{cost}"),
        ]
    )


def seeds_made(study: Study, found: Findings) -> str:
    """How many seeds the figures are means of."""
    made = {variant.name: len(found.of(variant.name)) for variant in study.main(found.log)}
    fewer = [f"{name} {count}" for name, count in made.items() if count < study.seeds]
    return f"Seeds: {study.seeds}" + (f", but {', '.join(fewer)}." if fewer else " of each method.")


COSTS = (
    "Parameters trained are those of all networks of a method, the exposure model's among them, "
    "beside them those that its last phase may change; served are those of all its models, towers "
    "that they share once. Of a model per objective, "
    "dimensions, searches and bytes are those of the last two objectives: searched one by one, or "
    "joined to one vector. `dmmp`'s two share their items: joined is the sum of its user vectors. "
    "After the exposure model, LoRA trains what it has beyond what it serves, BitFit biases alone."
)


def front(shown: Shown) -> str:
    """The front of the last two objectives."""
    each = shown.fronts
    zero = "the exposure model's own list" if each.from_exposure else "no recall at all"
    parts = [
        shown.picture(f"{each.findings.log.name}-front", front_picture(shown.study, each)),
        f"Hypervolume 0 is {zero}, 1 what the models of {CORNER} reach at once.",
        _folded("Hypervolumes", shown.table(hypervolumes(shown.study, each))),
    ]
    return "\n\n".join(parts)


def weights(shown: Shown) -> str:
    """Fig. 5b to d."""
    found = shown.fronts.findings
    if not found.log.sweeps:
        return ""
    return _curves(shown, *(weighed(found, stage) for stage in WEIGHT_OF if stage in found.stages))


def ablation(shown: Shown) -> str:
    """Table 3, and what the preset departs from the paper by."""
    tables = {view: shown.table(table_3(shown.study, shown.fronts, view)) for view in VIEWS}
    parts = [f"**{view} list**\n\n{table}" for view, table in tables.items()]
    return "\n\n".join([*parts, f"All figures: {shown.figures('ablations')}"])


def settings(shown: Shown) -> str:
    """Fig. 4 and 5a."""
    found = shown.fronts.findings
    curves = _curves(shown, trained(found, "tau"), trained(found, "eta"))
    return f"{curves}\n\nAll figures of both: {shown.figures('sweeps')}"


def _curves(shown: Shown, *sweeps: Sweep) -> str:
    found, parts = shown.fronts.findings, []
    for sweep in sweeps:
        name = f"{found.log.name}-{file_name(sweep)}"
        table = sweep_table(found, sweep)
        if sweep.run:
            image = shown.picture(name, sweep_picture(found, sweep))
            parts += [f"**{figure(sweep)}**", image, _folded("Figures", shown.table(table))]
        else:
            parts.append(f"**{figure(sweep)}**: {NOT_RUN}.")
    return "\n\n".join(parts)


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


GOALS, METHODS, FRONT, WEIGHTS = "Is it the best?", "Table 2: methods", "The front", "Fig. 5b to d"
ABLATION, SETTINGS = "Table 3: ablation", "Fig. 4 and Fig. 5: settings"
# Which sections a part of the study fills.
SECTIONS: Mapping[Kind, Mapping[str, Callable[[Shown], str]]] = {
    "tables": {GOALS: goals, METHODS: methods, FRONT: front, WEIGHTS: weights},
    "ablations": {ABLATION: ablation},
    "sweeps": {SETTINGS: settings},
}
