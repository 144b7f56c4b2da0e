"""The page: every table and figure of the paper, measured again, and what became of its claims.

    write_page(study, work, out)        reads work/<log>/judged, writes out/README.md

Decisions
- Pure reading: whatever has been judged is shown, and what has not is said to be not run.
- One page, in the order of the paper after what it comes to. Each table is also a CSV with all
  digits; figures are PNGs.
"""

from __future__ import annotations

from pathlib import Path

from bundle.writing import write_atomically
from training.paper import sections
from training.paper.findings import read_findings
from training.paper.fronts import Fronts
from training.paper.provenance import provenance
from training.paper.sections import Shown
from training.paper.study import Study

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


def write_page(study: Study, work: Path, out: Path) -> Path:
    """Write the page and the files that it shows; returns its path."""
    out.mkdir(parents=True, exist_ok=True)
    fronts, missing = [], []
    for log in study.logs:
        found = read_findings(study, work, log)
        if found is None:
            missing.append(log.title)
        else:
            fronts.append(Fronts(found))
    shown = Shown(study, fronts, out)
    parts = [
        "# The paper's tables and figures, measured again",
        _opening(shown, missing),
        HOW_TO_READ,
        sections.claims(shown),
        sections.goals(shown),
        sections.logs(shown, work),
        sections.methods(shown),
        sections.fronts(shown),
        sections.ablation(shown),
        sections.settings(shown),
        sections.layouts(shown),
        sections.training_time(shown),
        sections.speed(shown),
        sections.tuning(shown),
    ]
    file = out / "README.md"
    write_atomically(file, ("\n\n".join(parts) + "\n").encode())
    return file


def _opening(shown: Shown, missing: list[str]) -> str:
    study = shown.study
    runs = [
        run
        for each in shown.fronts
        for seeds in each.findings.runs.values()
        for run in seeds.values()
    ]
    expected = sum(len(study.runs(log)) for log in study.logs)
    hours = sum(run.costs["seconds"] for run in runs) / 3600
    said = [
        provenance(),
        f"{len(runs)} of {expected} runs, {study.seeds} seeds a method ({study.few} in the "
        f"sweeps of a setting); {hours:.1f} hours of training, counting an exposure model in every "
        "run that starts from it.",
    ]
    if missing:
        said.append(f"Not run: {'; '.join(missing)}.")
    return "\n".join(said)
