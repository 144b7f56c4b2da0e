"""What csmf-weights prints: the service's answers as aligned tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SCALES_NOTE = (
    "A stage's scale is the sum of the weights from it to the end of the cascade, so scales never\n"
    "increase along it: a list weighted for clicks alone still carries exposure."
)

Json = dict[str, Any]
Row = Sequence[object]


def scenario_table(answer: Json) -> str:
    """All scenarios, one line each."""
    stages = answer["stages"]
    rows: list[Row] = [("scenario", "version", *stages, "author", "time", "reason")]
    for record in answer["scenarios"]:
        values = [_number(record["weights"].get(stage)) for stage in stages]
        rows.append((record["scenario"], record["version"], *values, *_signed(record)))
    age = answer["age_s"]
    if age is None:
        fresh = "not read since the service started: these are the last known weights"
    else:
        fresh = f"read {age:.1f} s ago"
    return f"{table(rows)}\n\nweights store: {fresh}"


def weights_table(record: Json) -> str:
    """One scenario: weights and scales per stage."""
    author, time, reason = _signed(record)
    title = f"{record['scenario']}, version {record['version']}, by {author} ({time}): {reason}"
    return "\n\n".join([title, _stage_table([record]), _note(record)])


def change_table(change: Json) -> str:
    """Weights and scales per stage, before and after a change."""
    after, before = change["current"], change["previous"]
    old = f"version {before['version']}" if before else "new"
    title = f"{after['scenario']}: {old} → version {after['version']}, by {after['author']}"
    return "\n\n".join([title, _stage_table([before, after]), _note(after)])


def history_table(answer: Json) -> str:
    """Versions of one scenario, newest first."""
    records = answer["records"]
    if not records:
        return "never set: the bundle's default is in force"
    stages = list(records[0]["weights"])
    rows: list[Row] = [("version", *stages, "author", "time", "reason")]
    rows += [
        (record["version"], *(_number(record["weights"].get(s)) for s in stages), *_signed(record))
        for record in records
    ]
    return table(rows)


def table(rows: Sequence[Row]) -> str:
    """Aligned columns: numbers to the right, text to the left."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [
        column[1:] and all(map(_is_number, column[1:])) for column in zip(*cells, strict=True)
    ]
    lines = (
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def _stage_table(records: Sequence[Json | None]) -> str:
    when = ["", " before", " after"][-len(records) :] if len(records) > 1 else [""]
    header = [f"{what}{moment}" for what in ("weight", "scale") for moment in when]
    rows: list[Row] = [("stage", *header)]
    for stage in (records[-1] or {})["weights"]:
        values = [
            _number(((record or {}).get(kind) or {}).get(stage))
            for kind in ("weights", "scales")
            for record in records
        ]
        rows.append((stage, *values))
    return table(rows)


def _note(record: Json) -> str:
    if record["scales"] is None:
        return (
            "These weights do not fit the stages served now; the bundle's default serves instead."
        )
    return SCALES_NOTE


def _signed(record: Json) -> tuple[str, str, str]:
    time = record["time"][:19].replace("T", " ") if record["version"] else "-"
    return record["author"], time, record["reason"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _is_number(text: str) -> bool:
    try:
        float("0" if text == "-" else text)
    except ValueError:
        return False
    return True
