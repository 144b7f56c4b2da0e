"""The paper's Tables 2 and 3 on one log, and what methods cost.

Decisions
- Two views that are never mixed: for each objective the list that a method makes for it, and the
  one fused list for all of them. A method with one list is in the second view alone.
- Methods from the exposure model and from scratch are apart: most of the gap between them is
  access to exposures, not method.
- CSMF's lead is CSMF minus the method: paired by seed and user, 95 % interval, two-sided p.
- A model per objective can be searched one by one, or joined: one search over vectors as long as
  both. DMMP's models share their items, to the bit, so joined is the sum of its user vectors: one
  search, no longer than one model's. Its towers and its items count once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

from training.evaluation.questions import SLICES
from training.paper.findings import Findings, Replicates, sample_mean
from training.paper.fronts import Fronts, contestants, front_of
from training.paper.run import OWN_LISTS, Found
from training.paper.study import OURS, PLAIN, PLAIN_ABLATIONS, Kind, Study, Variant
from training.paper.table import Cell, Mean, Row, Table

METRICS = ("recall@50", "recall@100", "recall@500", "ndcg@50")
LEAD = "CSMF's lead, recall@50"
NOTHING = "–"  # no such list, or nothing to find
OUR_FRONT = front_of(OURS)
SHARED = "dmmp"  # its bundles hold the same towers; they differ in which user vector comes out
Listed = Callable[[str], str]  # objective → the list that it is judged on


def own(stage: str) -> str:
    """The list that a method makes for one objective."""
    return f"{stage} list"


def fused(_: str) -> str:
    """The one list for all objectives."""
    return "fused"


VIEWS: dict[str, Listed] = {"own": own, "fused": fused}


def table_2(study: Study, found: Findings, stage: str, view: str) -> Table:
    """Every method on one objective, in one view."""
    ranked = VIEWS[view](stage)
    ours = found.recall(OURS, OWN_LISTS, ranked, stage)

    def row(variant: Variant) -> Row:
        theirs = found.recall(variant.name, OWN_LISTS, ranked, stage)
        means = [_figure(found, variant, ranked, stage, metric) for metric in METRICS]
        lead = "" if variant.name == OURS else found.difference(ours, theirs)
        return (variant.name, *means, NOTHING if means[0] == NOTHING else lead)

    return Table("table2", ("method", *METRICS, LEAD), by_start(study.main(found.log), row))


def table_2_brief(study: Study, found: Findings) -> Table:
    """As the paper prints it: every method's recall@50 for the last two objectives, both views."""
    lists = [(stage, view) for view in VIEWS for stage in found.stages[-2:]]

    def row(variant: Variant) -> Row:
        figures = [
            _figure(found, variant, VIEWS[view](stage), stage, METRICS[0]) for stage, view in lists
        ]
        return (variant.name, *figures)

    header = ("method", *(f"{stage}, {view} list" for stage, view in lists))
    return Table("", header, by_start(study.main(found.log), row))


def every_metric(study: Study, found: Findings, kind: Kind) -> Table:
    """All figures of all slices, macro and micro, of every variant of a part: for programs."""
    metrics = [(metric, mean) for metric in METRICS for mean in ("macro", "micro")]
    rows: list[Row] = []
    for variant in dict.fromkeys(variant for variant, _ in study.part(kind, found.log)):
        for view, stage, part in product(VIEWS, found.stages, SLICES):
            ranked = VIEWS[view](stage)
            figures = [_figure(found, variant, ranked, stage, *each, part=part) for each in metrics]
            if isinstance(figures[0], Mean):
                rows.append((variant.name, view, stage, part, *figures))
    header = ("variant", "list", "objective", "slice", *(" ".join(each) for each in metrics))
    part_of = "" if kind == "tables" else f"-{kind}"
    return Table(f"{found.log.name}{part_of}-metrics", header, {"": rows})


def cold_slices(study: Study, found: Findings) -> Table:
    """Recall@50 on items that training never saw exposed, and for users it never saw."""
    pairs = [(stage, part) for stage in found.stages[-2:] for part in ("cold_items", "cold_users")]
    header = [
        f"{stage}, {part.replace('_', ' ')} ({found.counts(stage, part)['positives']:,})"
        for stage, part in pairs
    ]

    def row(variant: Variant) -> Row:
        means = [
            _figure(found, variant, fused(stage), stage, METRICS[0], part=part)
            for stage, part in pairs
        ]
        return (variant.name, *means)

    return Table(
        f"{found.log.name}-cold", ("method", *header), by_start(study.main(found.log), row)
    )


def costs(study: Study, found: Findings) -> Table:
    """What training and serving the last two objectives take."""
    header = (
        "method",
        "parameters trained",
        "in the last phase",
        "served",
        "examples seen",
        "seconds",
        "user dims",
        "item dims",
        "searches",
        "bytes an item, fp16",
        "fp32",
    )

    def row(variant: Variant) -> Row:
        runs = [*found.of(variant.name).values()]
        if not runs:
            return (variant.name, *[None] * (len(header) - 1))
        cost, seconds = runs[0].costs, Mean.of([run.costs["seconds"] for run in runs])
        users, once = cost["dims"][-2:], variant.method == SHARED
        items = users[:1] if once else users
        served = cost["parameters"] // (len(cost["dims"]) if once else 1)
        searches = "1" if len(users) == 1 else f"{len(users)}, or 1 of {sum(items)}"
        sizes = [sum(items) * size for size in (2, 4)]
        last = cost["phases"][-1]["trainable"]
        trained = (cost["trained_parameters"], last, served, cost["examples"], seconds)
        return (variant.name, *trained, _times(users), _times(items), searches, *sizes)

    return Table(f"{found.log.name}-costs", header, by_start(study.main(found.log), row))


def hypervolumes(study: Study, fronts: Fronts) -> Table:
    """How much each front holds, and CSMF's lead."""
    found = fronts.findings
    everybody = contestants(study, found)
    ours = fronts.volumes(OUR_FRONT)
    rows: list[Row] = []
    for contestant in everybody:
        theirs = fronts.volumes(contestant)
        itself = found.difference(theirs, {seed: 0 * each for seed, each in theirs.items()})
        interval = (None, None) if itself is None else (itself.low, itself.high)
        lead = "" if contestant.name == OURS else found.difference(ours, theirs)
        rows.append((contestant.name, sample_mean(theirs), *interval, lead))
    header = ("front", "hypervolume", "95 % from", "to", "CSMF's lead")
    return Table(f"{found.log.name}-hypervolume", header, {"": rows})


def table_3(study: Study, fronts: Fronts, view: str) -> Table:
    """CSMF and the plain cascade without each of their parts: recall@50 and, once, hypervolume."""
    plain = [each for each in study.ablations if each in PLAIN_ABLATIONS]
    whole = [each for each in study.ablations if each not in plain]
    groups = {
        "against the plain cascade": _ablated(fronts, view, [PLAIN, *plain]),
        "against CSMF": _ablated(fronts, view, [Variant(OURS), *whole]),
    }
    stages = fronts.findings.stages[-2:]
    measures = [*(f"{stage} recall@50" for stage in stages), *(["hypervolume"] * (view == "own"))]
    columns = [name for each in measures for name in (each, f"lead, {each}")]
    return Table(f"{fronts.findings.log.name}-table3-{view}", ("variant", *columns), groups)


def _ablated(fronts: Fronts, view: str, variants: Sequence[Variant]) -> list[Row]:
    """One row a variant, with what the first is ahead of it by."""
    rows, whole = list[Row](), list[Replicates]()
    for variant in variants:
        found = _headline(fronts, variant.name, view)
        cells: list[Cell] = []
        for mine, other in zip(whole or found, found, strict=True):
            lead = fronts.findings.difference(mine, other) if whole else ""
            cells += [sample_mean(other), lead]
        whole = whole or found
        rows.append((variant.name, *cells))
    return rows


def _headline(fronts: Fronts, variant: str, view: str) -> list[Replicates]:
    found, listed = fronts.findings, VIEWS[view]
    recalls = [found.recall(variant, OWN_LISTS, listed(each), each) for each in found.stages[-2:]]
    return [*recalls, *([fronts.volumes(front_of(variant))] if view == "own" else [])]


def by_start(variants: Iterable[Variant], row: Callable[[Variant], Row]) -> dict[str, list[Row]]:
    """Rows under the two headings."""
    groups: dict[str, list[Row]] = {"from the exposure model": [], "from scratch": []}
    for variant in variants:
        groups["from scratch" if variant.from_scratch else "from the exposure model"].append(
            row(variant)
        )
    return groups


def _figure(
    found: Findings,
    variant: Variant,
    ranked: str,
    stage: str,
    metric: str,
    mean: str = "macro",
    *,
    part: str = "all",
) -> Cell:
    """One figure over seeds; a dash where there is no such list, or nothing to find."""
    if not found.counts(stage, part)["positives"]:
        return NOTHING

    def pick(run: Found) -> float | None:
        judged: dict[str, Any] = run.metrics.get(ranked, {})
        return float(judged[stage][part][metric][mean]) if judged else None

    return found.mean(variant.name, pick) or (NOTHING if found.of(variant.name) else None)


def _times(dims: list[int]) -> str:
    return f"{dims[0]}" if len(dims) == 1 else f"{len(dims)} × {dims[0]}"
