"""A release beside lists that need no model: `csmf-train compare` writes one honest table.

Decisions
- One run, one split, one set of queries and one measure for all rows; the split is the one the
  bundle was trained on, and all page views of the test side are judged.
- A context filter keeps what was exposed in the training part under the query's value, as a filter
  on a well-kept item attribute would. What it leaves empty is filled from the unfiltered list.
- The ceiling rows say what no list of that kind can exceed: the share of positives that were among
  the filter's candidates, or among the user's own recent items.

Dimension letters: Q queries, J those with a positive, K ranks, M vector dims, P positives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bundle.scoring import exact_top_k, scale_query
from bundle.store import read_bundle
from bundle.weights import ObjectiveWeights
from bundle.writing import write_atomically
from training.errors import ConfigError
from training.evaluation.anchors import Anchors, Ranked, count_past
from training.evaluation.metrics import Floats, Relevant, Rows
from training.evaluation.trial import Trial, reopen
from training.evaluation.vectors import alone_weights
from training.logs.reader import Log

NORMAL_95 = 1.96
SIDES = ("all", "seen_items")
NOTHING = "–"  # no positives to average over


def compare(
    release: Path, log: Path, out: Path, *, context: str | None, recent: str | None, k: int
) -> str:
    """Judge the release and the anchors; write the table to `out` and return it."""
    bundle = read_bundle(release)
    judged = reopen(bundle, log, k)
    _check_feature(judged.later, "--context", context, "categorical")
    _check_feature(judged.later, "--recent", recent, "sequence")
    trial = judged.test
    past = count_past(judged.train, context, recent)
    requests = judged.later.requests[trial.questions.request_rows_Q]
    anchors = Anchors.of(past, requests, context, recent, k)
    lists = anchors.lists(len(requests)) | _model_lists(trial, anchors, bundle.manifest.weights)
    table = _table(trial, anchors, lists)
    write_atomically(out, table.encode())
    return table


def _check_feature(log: Log, option: str, feature: str | None, type_: str) -> None:
    known = [
        each.name
        for each in log.spec.features.user
        if each.type == type_ and each.table == "requests"
    ]
    if feature is not None and feature not in known:
        raise ConfigError(
            f"{option}: expected a {type_} feature of requests, {known}; got {feature!r}"
        )


def _model_lists(trial: Trial, anchors: Anchors, default: ObjectiveWeights) -> dict[str, Rows]:
    """The released model's lists: alone, within the context, and after the user's own items."""
    stages, queries, k = default.stages, len(trial.questions), anchors.length
    settings = {f"CSMF, {stage} score": alone_weights(stage, stages) for stage in stages}
    settings["CSMF, fused"] = default
    lists = {name: trial.vectors.rank(weights, k) for name, weights in settings.items()}
    if anchors.contexts_Q:
        for name, weights in settings.items():
            within, anywhere = _within_context(trial, anchors, weights), lists[name].__getitem__
            lists[f"{name}, within context"] = anchors.chained(queries, within, anywhere)
    if anchors.histories_Q:
        last = next(reversed(lists))
        lists[f"recent, then {last}"] = anchors.chained(
            queries, anchors.own, lists[last].__getitem__
        )
    return lists


def _within_context(
    trial: Trial, anchors: Anchors, weights: ObjectiveWeights
) -> Callable[[int], Ranked]:
    """Exact search among the items of a query's context."""
    vectors = trial.vectors
    queries_QM = scale_query(vectors.users_QM, weights.as_array(), vectors.segments)

    def search(query: int) -> Ranked:
        rows = np.asarray(anchors.here(query), np.int64)
        if not len(rows):
            return ()
        best_1K, _ = exact_top_k(queries_QM[query][None], vectors.items_NM[rows], anchors.length)
        found: list[int] = rows[best_1K[0]].tolist()
        return found

    return search


def _table(trial: Trial, anchors: Anchors, lists: dict[str, Rows]) -> str:
    """Markdown: one row per list, one pair of columns per objective and set of positives."""
    k = anchors.length
    sides = [(stage, side) for stage in trial.questions.objectives for side in SIDES]
    head = [f"{stage}, {side.removesuffix('_items')} items" for stage, side in sides]
    lines = [
        f"Recall@{k} ± half its 95 % interval over users / nDCG@{k}, means over page views.",
        "",
        "| list | " + " | ".join(head) + " |",
        "|---" * (len(head) + 1) + "|",
        _row("page views, positives", [_counts(_relevant(trial, *side)) for side in sides]),
    ]
    for name, reachable in _ceilings(trial, anchors).items():
        lines.append(_row(name, [reachable(_relevant(trial, *side)) for side in sides]))
    for name, ranked_QK in lists.items():
        metrics = trial.questions.measure(ranked_QK)
        cells = []
        for stage, side in sides:
            ndcg = metrics[stage][side][f"ndcg@{k}"]["macro"]
            recall_Q = trial.questions.recall(ranked_QK, stage, k, side)
            asked_Q = ~np.isnan(recall_Q)
            mean = _mean(recall_Q[asked_Q], trial.questions.user_Q[asked_Q])
            cells.append(f"{mean} / {ndcg:.3f}" if mean else NOTHING)
        lines.append(_row(name, cells))
    return "\n".join(lines) + "\n"


def _mean(recall_J: Floats, user_J: Rows) -> str:
    """With half its interval over users: page views of one user are not independent."""
    if not len(recall_J):
        return ""
    _, dense_J = np.unique(user_J, return_inverse=True)
    apart_U = np.bincount(dense_J, recall_J - recall_J.mean())
    half = NORMAL_95 * float(np.sqrt(np.square(apart_U).sum())) / len(recall_J)
    return f"{recall_J.mean():.3f} ± {half:.3f}"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"


def _relevant(trial: Trial, stage: str, side: str) -> Relevant:
    objective = trial.questions.objectives[stage]
    return objective.relevant.only(objective.slices[side])


def _counts(relevant: Relevant) -> str:
    return f"{len(np.unique(relevant.query_P)):,}, {len(relevant.item_P):,}"


def _ceilings(trial: Trial, anchors: Anchors) -> dict[str, Callable[[Relevant], str]]:
    """Share of positives among these items: no list confined to them can have more recall."""

    def share(items: Callable[[int], Ranked]) -> Callable[[Relevant], str]:
        sets = [set(items(query)) for query in range(len(trial.questions))]

        def cell(relevant: Relevant) -> str:
            pairs = zip(relevant.query_P.tolist(), relevant.item_P.tolist(), strict=True)
            inside = [item in sets[query] for query, item in pairs]
            return f"{np.mean(inside):.3f}" if inside else NOTHING

        return cell

    ceilings = {}
    if anchors.contexts_Q:
        ceilings["ceiling within context"] = share(anchors.here)
    if anchors.histories_Q:
        ceilings["ceiling of recent alone"] = share(anchors.own)
    return ceilings
