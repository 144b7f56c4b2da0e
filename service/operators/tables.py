"""What csmf-weights prints: the service's answers as aligned tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.operators.client import Json

SCALES_NOTE = (
    "A stage's scale is the sum of the weights from it to the end of the cascade, so scales never\n"
    "increase along it: a list weighted for clicks alone still carries exposure."
)
PREVIEW_NOTE = (
    "Before is what users of no variant are served now. Scores are means over a list of each\n"
    "stage's own score, not weighted; overlap is the part of a list that stays. --json shows lists."
)
CONTROL = "control"  # the users of no variant
MOMENTS = ("before", "after")

Row = Sequence[object]


def scenario_table(answer: Json) -> str:
    """All scenarios, one line each."""
    age = answer["age_s"]
    if age is None:
        fresh = "not read since the service started: these are the last known weights"
    else:
        fresh = f"read {age:.1f} s ago"
    listed = _record_table(("scenario", "version"), answer["stages"], answer["scenarios"])
    return f"{listed}\n\nweights store: {fresh}"


def weights_table(record: Json) -> str:
    """One scenario: weights and scales per stage, variants, schedule."""
    author, time, reason = _signed(record)
    title = f"{record['scenario']}, version {record['version']}, by {author} ({time}): {reason}"
    return _paragraphs(
        title,
        _stage_table([record]),
        _variant_table([record]),
        _schedule_line(record),
        _note(record),
    )


def change_table(change: Json) -> str:
    """Weights and scales per stage, variants and schedule, before and after a change."""
    after, before = change["current"], change["previous"]
    old = f"version {before['version']}" if before else "new"
    title = f"{after['scenario']}: {old} → version {after['version']}, by {after['author']}"
    return _paragraphs(
        title,
        _stage_table([before, after]),
        _variant_table([before, after]),
        _schedule_line(after),
        _note(after),
    )


def history_table(answer: Json) -> str:
    """Versions of one scenario, newest first."""
    records = answer["records"]
    if not records:
        return "never set: the bundle's default is in force"
    return _record_table(("version",), list(records[0]["weights"]), records)


def preview_table(answer: Json) -> str:
    """A dry run: weights, scales and mean scores before and after, then user by user."""
    users = answer["users"]
    title = (
        f"{answer['scenario']}, version {answer['weights_version']}, on {len(users)} users of "
        f"{answer['run_id']}/{answer['build_id']}: nothing was changed"
    )
    sides = [{**answer[when], "mean scores": answer["objective_scores"][when]} for when in MOMENTS]
    rows: list[Row] = [("user", "overlap", *_stage_moments(answer["after"]["weights"]))]
    rows += [_previewed(user) for user in users]
    rows.append(("all", *_previewed(answer | {"user_id": None})[1:]))
    return _paragraphs(
        title, _stage_table(sides, ("weights", "scales", "mean scores")), table(rows), PREVIEW_NOTE
    )


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


def _record_table(keys: Sequence[str], stages: Sequence[str], records: Sequence[Json]) -> str:
    """Records, one line each, with what they hold besides weights, where any do."""
    besides = [_besides(record) for record in records]
    more = ["besides"] if any(besides) else []
    rows: list[Row] = [(*keys, *stages, *more, "author", "time", "reason")]
    for record, beside in zip(records, besides, strict=True):
        weights = [_number(record["weights"].get(stage)) for stage in stages]
        added = [beside or "-"] if more else []
        rows.append((*(record[key] for key in keys), *weights, *added, *_signed(record)))
    return table(rows)


def _besides(record: Json) -> str:
    """What a record holds besides weights; only the service knows the state of a schedule."""
    count, planned = len(record.get("variants") or ()), record.get("schedule")
    variants = f"{count} variant{'s' if count > 1 else ''}" if count else ""
    schedule = f"schedule {planned.get('state', '')}".rstrip() if planned else ""
    return ", ".join(filter(None, [variants, schedule]))


def _stage_table(
    records: Sequence[Json | None], kinds: Sequence[str] = ("weights", "scales")
) -> str:
    when = [f" {moment}" for moment in MOMENTS] if len(records) > 1 else [""]
    header = [f"{kind.removesuffix('s')}{moment}" for kind in kinds for moment in when]
    rows: list[Row] = [("stage", *header)]
    for stage in (records[-1] or {})["weights"]:
        values = [
            _number(((record or {}).get(kind) or {}).get(stage))
            for kind in kinds
            for record in records
        ]
        rows.append((stage, *values))
    return table(rows)


def _variant_table(records: Sequence[Json | None]) -> str:
    """Shares and weights of variants and of the users of none; empty if there are no variants."""
    known = [record or {} for record in records]
    named = {name: v for record in known for name, v in record.get("variants", {}).items()}
    if not named:
        return ""
    after, shares = known[-1], [_shares(record) for record in known]
    when = MOMENTS if len(known) > 1 else [""]
    rows: list[Row] = [("variant", *(f"share {w}".rstrip() for w in when), *after["weights"])]
    for name, variant in {**named, CONTROL: after}.items():
        weights = [_number(variant["weights"].get(stage)) for stage in after["weights"]]
        rows.append((name, *(_percent(share.get(name)) for share in shares), *weights))
    return table(rows)


def _shares(record: Json) -> dict[str, float]:
    shares = {name: variant["share"] for name, variant in record.get("variants", {}).items()}
    return {**shares, CONTROL: round(1 - sum(shares.values()), 6)} if record else {}


def _schedule_line(record: Json) -> str:
    planned = record["schedule"]
    if not planned:
        return ""
    weights = " ".join(f"{stage}={_number(k)}" for stage, k in planned["weights"].items())
    end = f"until {_utc(planned['until'])}" if planned["until"] else "for good"
    line = f"schedule {planned['state']}: {weights} from {_utc(planned['from'])} {end} (UTC)"
    serves = "\nIt serves now, instead of the weights above; variants keep theirs."
    return line + (serves if planned["state"] == "in force" else "")


def _stage_moments(stages: Iterable[str]) -> list[str]:
    return [f"{stage} {when}" for stage in stages for when in MOMENTS]


def _previewed(user: Json) -> Row:
    scores = user["objective_scores"]
    values = [_number(scores[when][stage]) for stage in scores["after"] for when in MOMENTS]
    return (user["user_id"] or "-", _percent(user["overlap"]), *values)


def _note(record: Json) -> str:
    if record["scales"] is None:
        return (
            "These weights do not fit the stages served now; the bundle's default serves instead."
        )
    return SCALES_NOTE


def _signed(record: Json) -> tuple[str, str, str]:
    time = _utc(record["time"]) if record["version"] else "-"
    return record["author"], time, record["reason"]


def _utc(time: str) -> str:
    return time[:19].replace("T", " ")


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(filter(None, texts))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.4g}%"


def _is_number(text: str) -> bool:
    try:
        float("0" if text == "-" else text.removesuffix("%"))
    except ValueError:
        return False
    return True
