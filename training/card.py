"""MODEL_CARD.md: what a bundle is, from what it was made, how well it does, where it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from bundle.segments import Segments
from training.config import TrainConfig
from training.logs.reader import Log

Json = Mapping[str, Any]
ABOUT = (
    "Two towers trained by cascaded selective mask fine-tuning, one segment of the vector per "
    "objective. A user and an item vector are compared by inner product; the weights of the "
    "objectives scale the segments of the user vector."
)
LIMITS = (
    "## Limits\n\n"
    "Recall is measured on logged behaviour: items that were never shown could not be chosen."
)
LIMITS_OF_WEIGHTS = (
    " Weights never lower an upstream segment below a downstream one, so a list for one late "
    "objective still carries the earlier ones."
)


def model_card(
    *,
    run_id: str,
    log: Log,
    segments: Segments,
    config: TrainConfig,
    weights: Mapping[str, float],
    evaluation: Json,
) -> str:
    """The whole card, as Markdown."""
    return (
        "\n\n".join(
            [
                f"# {run_id}",
                _about(config, segments),
                _segments(segments, weights),
                _data(log, evaluation),
                _quality(evaluation),
                _recommended(evaluation),
                LIMITS + (LIMITS_OF_WEIGHTS if len(segments.names) > 1 else ""),
                "## Configuration",
                f"```yaml\n{yaml.safe_dump(config.model_dump(), sort_keys=False)}```",
            ]
        )
        + "\n"
    )


def _about(config: TrainConfig, segments: Segments) -> str:
    """CSMF, or which rival it is; only vectors with segments have weights."""
    if config.method.kind == "csmf":
        return ABOUT
    text = f"Two towers trained by the method `{config.method.name}`, to be compared with CSMF."
    if len(segments.names) > 1:
        return f"{text} One segment of the vector per objective; weights scale them."
    return f"{text} One vector without segments: all weights give the same list."


def _segments(segments: Segments, weights: Mapping[str, float]) -> str:
    rows = [
        f"| {name} | {part.start}–{part.stop - 1} | {weights[name]:g} |"
        for name, part in zip(segments.names, segments.slices, strict=True)
    ]
    return _table("Segments", "| stage | dimensions | default weight |", rows)


def _data(log: Log, evaluation: Json) -> str:
    split = evaluation["split"]
    counts = [
        f"| {stage} | {int(log.events[column].sum()):,} |"
        for stage, column in zip(log.spec.stages, log.spec.stage_columns, strict=True)
    ]
    notes = f" {log.spec.notes}." if log.spec.notes else ""
    text = (
        f"Log `{log.spec.name}`: {len(log.requests):,} requests, {len(log.items):,} items, "
        f"{log.report.set_aside:,} events set aside as irregular.{notes}\n\n"
        f"Trained on the {split['train_requests']:,} requests before {split['at']}, judged on "
        f"the last {1 - evaluation['validation_share']:.0%} of the {split['test_requests']:,} from "
        "then on."
    )
    return _table("Data", "| stage | positives |", counts) + "\n\n" + text


def _quality(evaluation: Json) -> str:
    stages = list(evaluation["objectives"])
    shown = next(iter(_metrics(evaluation, "fused", stages[0])))  # recall at the shortest K
    rows = [
        f"| {name} | "
        + " | ".join(f"{_metrics(evaluation, name, stage)[shown]['macro']:.3f}" for stage in stages)
        + " |"
        for name in evaluation["lists"]
    ]
    coverage = ", ".join(
        f"{name} {each['item_coverage']:.1%} of {each['positives']:,}"
        for name, each in evaluation["objectives"].items()
    )
    header = "| ranked by | " + " | ".join(stages) + " |"
    return (
        _table(f"Quality: {shown}, macro, over all items", header, rows)
        + f"\n\nPositives on items that training saw exposed: {coverage}. All figures, macro and "
        "micro, for seen and new items and for new users, are in evaluation.json."
    )


def _recommended(evaluation: Json) -> str:
    """Weights by goal, with the recall that they reach on requests they were not chosen on."""
    if "not_recommended" in evaluation:
        return f"## Recommended weights\n\nNone: {evaluation['not_recommended']}."
    stages = list(evaluation["objectives"])
    rows = []
    for each in evaluation["recommended"].values():
        weights = ", ".join(f"{weight:g}" for weight in each["weights"].values())
        recall = " | ".join(_number(each["test"][stage]) for stage in stages)
        rows.append(f"| {each['goal']} | ⟨{weights}⟩ | {recall} |")
    header = "| goal | weights | " + " | ".join(stages) + " |"
    share = evaluation["validation_share"]
    return (
        _table("Recommended weights", header, rows)
        + f"\n\nChosen by {evaluation['chosen_by']}, macro, on the first {share:.0%} of the later "
        "requests; the figures are of the rest. The whole front is in evaluation.json."
    )


def _number(figure: float | None) -> str:
    return "–" if figure is None else f"{figure:.3f}"


def _metrics(evaluation: Json, name: str, stage: str) -> Json:
    metrics: Json = evaluation["lists"][name][stage]["all"]
    return metrics


def _table(title: str, header: str, rows: list[str]) -> str:
    rule = "|" + " --- |" * header.count("| ")
    return "\n".join([f"## {title}", "", header, rule, *rows])
