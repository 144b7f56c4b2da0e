"""Row checks of a log: what cannot be read, what is set aside, what is only counted.

Decisions
- A row that would be guessed at stops the reading: missing ids, repeated keys, NaN, vectors of the
  wrong length. LogError names file, column and first row.
- An event that can be left out without changing the meaning of others is set aside and counted:
  its request or item does not exist, or the pair was recorded before (the first copy counts).
- An event that breaks the nesting (a later stage without the one before) is kept as recorded and
  counted: the log's owner knows whether it is a fault or a purchase that needed no click.
- Empty values of features are ordinary (null = missing); describe counts them.

Use: ``refuse_bad_rows(tables)``, then ``report, events = examine_events(tables)``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Literal

import polars as pl

from bundle.features import LARGEST
from training.logs.errors import LogError
from training.logs.tables import Tables, unreadable

LARGEST_NUMBER = 1e100  # beyond it, the squares that a standard deviation sums overflow


@dataclass(frozen=True)
class Finding:
    """One kind of irregularity: where, how often, what was done about it."""

    kind: str
    file: str
    column: str
    count: int
    first_row: int | None
    action: Literal["set aside", "kept", "ignored"]
    remedy: str

    def __str__(self) -> str:
        """One line for people."""
        row = "" if self.first_row is None else f", first at row {self.first_row}"
        what = self.kind.replace("_", " ")
        found = f"{self.file}, column '{self.column}': {self.count} {what} {self.action}{row}"
        return f"{found}. {self.remedy}."


@dataclass(frozen=True)
class IntegrityReport:
    """Everything irregular in a log that did not stop it from being read."""

    findings: tuple[Finding, ...]

    def count(self, kind: str) -> int:
        """How many rows (or columns) of one kind."""
        return sum(finding.count for finding in self.findings if finding.kind == kind)

    @property
    def set_aside(self) -> int:
        """Events left out of the frames."""
        return sum(f.count for f in self.findings if f.action == "set aside")

    def as_json(self) -> list[dict[str, object]]:
        """Plain values for reports."""
        return [asdict(finding) for finding in self.findings]


KEYS = {
    "requests.parquet": ("request_id",),
    "items.parquet": ("item_id",),
    "users.parquet": ("user_id",),
}


def refuse_bad_rows(tables: Tables) -> None:
    """Raises LogError at the first row that cannot be read without guessing."""
    for file, frame in tables.present().items():
        _refuse_empty(file, frame)
        _refuse_nulls(tables, file, frame)
        _refuse_bad_values(tables, file, frame)
        for key in KEYS.get(file, ()):
            _refuse_where(
                file,
                key,
                frame.select(bad=~pl.col(key).is_first_distinct(), value=pl.col(key)),
                "the {value} is there a second time",
                "Keep one row per key",
            )


def _refuse_empty(file: str, frame: pl.LazyFrame) -> None:
    if _collect(file, frame.select(pl.len())).item() == 0:
        raise LogError(file, None, None, "the table is empty", "A log needs at least one row")


def _refuse_nulls(tables: Tables, file: str, frame: pl.LazyFrame) -> None:
    features = {feature.name for feature in tables.features_of(file)}
    fixed = [name for name in frame.collect_schema().names() if name not in features]
    fixed += [key for key in ("user_id", "item_id") if key in features]  # a key may be a feature
    counts = _collect(file, frame.select(pl.col(fixed).null_count())).row(0, named=True)
    for column in (column for column, count in counts.items() if count):
        _refuse_where(
            file,
            column,
            frame.select(bad=pl.col(column).is_null(), value=pl.col(column)),
            "the value is missing",
            "Fill it in or leave the row out",
        )
    if file == "events.parquet":
        _refuse_where(
            file,
            "position",
            frame.select(bad=pl.col("position") < -1, value=pl.col("position")),
            "position is {value}",
            "Count positions from 0 and write -1 where unknown",
        )


def _refuse_bad_values(tables: Tables, file: str, frame: pl.LazyFrame) -> None:
    for feature in tables.features_of(file):
        column = pl.col(feature.name)
        if feature.type == "numeric":
            bad, value = ~(column.abs() <= LARGEST_NUMBER), column  # NaN is larger than any
            problem, remedy = "the value is {value}", "Write null where a number is missing"
        elif feature.type == "vector":
            _refuse_lengths(file, frame, feature.name, feature.dim or 0)
            usable = pl.element().abs() <= LARGEST  # nor is NaN
            bad = column.list.eval(~usable | pl.element().is_null()).list.any()
            value = pl.lit(0)
            problem = f"the vector holds a null, NaN or a number beyond ±{LARGEST:g}"
            remedy = "Scale the vectors; write null for a whole vector where it is missing"
        elif feature.type == "sequence":
            bad, value = column.list.contains(pl.lit(None, pl.String)), pl.lit(0)
            problem, remedy = "the sequence holds a null", "Leave unknown elements out"
        else:
            continue
        _refuse_where(file, feature.name, frame.select(bad=bad, value=value), problem, remedy)


def _refuse_lengths(file: str, frame: pl.LazyFrame, name: str, dim: int) -> None:
    length = pl.col(name).list.len()
    _refuse_where(
        file,
        name,
        frame.select(bad=length != dim, value=length),
        f"the vector has {{value}} elements, log.yaml declares dim: {dim}",
        "Make every vector that long or correct dim",
    )


def _refuse_where(file: str, column: str, marked: pl.LazyFrame, problem: str, remedy: str) -> None:
    """``marked`` has columns bad (null = fine) and value; row numbers count from 0."""
    first = _collect(file, marked.with_row_index("row").filter("bad").head(1))
    if first.height:
        value = first["value"][0]
        raise LogError(file, column, first["row"][0], problem.format(value=value), remedy)


def examine_events(tables: Tables) -> tuple[IntegrityReport, pl.LazyFrame]:
    """Counts irregular events; the frame returned lacks those set aside."""
    rows = tables.events.with_row_index("row")
    faults = _faults(tables, rows)
    counts = faults.group_by("fault").agg(pl.len(), pl.col("row").min())
    findings = [
        Finding(kind, "events.parquet", column, count, first, "set aside", remedy)
        for kind, column, remedy in SET_ASIDE
        for _, count, first in counts.filter(fault=kind).iter_rows()
    ]
    kept = rows
    if faults.height:
        kept = rows.join(faults.lazy(), on="row", how="anti", maintain_order="left")
    findings += _nesting(tables, kept)
    findings += _unmatched(tables, kept)
    findings += [
        Finding("undeclared_column", file, column, 1, None, "ignored", "Declare it in log.yaml")
        for file, column in tables.undeclared
    ]
    return IntegrityReport(tuple(findings)), kept.drop("row")


SET_ASIDE = (
    ("unknown_request", "request_id", "Write its request or leave the event out"),
    ("unknown_item", "item_id", "Add the item to items.parquet"),
    ("duplicate_event", "item_id", "Record each item once per request"),
)


def _faults(tables: Tables, rows: pl.LazyFrame) -> pl.DataFrame:
    """Rows to set aside and why; the first reason of SET_ASIDE that holds."""
    found = (
        rows.join(tables.requests.select("request_id"), on="request_id", how="anti"),
        rows.join(tables.items.select("item_id"), on="item_id", how="anti"),
        _repeats(rows),
    )
    faults = [
        _collect("events.parquet", frame.select("row", fault=pl.lit(kind)))
        for frame, (kind, _, _) in zip(found, SET_ASIDE, strict=True)
    ]
    return pl.concat(faults).unique("row", keep="first", maintain_order=True)


def _repeats(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Second and later copies of a pair; most pairs are ruled out by one number each."""
    pair = pl.struct("request_id", "item_id")
    hashed = rows.with_columns(hash=pair.hash())
    suspects = hashed.group_by("hash").len().filter(pl.col("len") > 1).select("hash")
    return (
        hashed.join(suspects, on="hash", how="semi").sort("row").filter(~pair.is_first_distinct())
    )


def _nesting(tables: Tables, events: pl.LazyFrame) -> list[Finding]:
    """Events of a stage that lack the stage before (R ⊂ O ⊂ D)."""
    findings = []
    cascade = tables.spec.cascade
    for before, after in pairwise(cascade):
        broken = events.filter(pl.col(after.column) & ~pl.col(before.column))
        summary = _collect("events.parquet", broken.select(pl.len(), pl.col("row").min()))
        count, first = summary.row(0)
        if count:
            kind = f"{after.stage}_without_{before.stage}"
            remedy = f"Set '{before.column}' if the stage happened"
            findings.append(
                Finding(kind, "events.parquet", after.column, count, first, "kept", remedy)
            )
    return findings


def _unmatched(tables: Tables, events: pl.LazyFrame) -> list[Finding]:
    """Requests that lead nowhere: no event, or a user the users table does not have."""
    requests = tables.requests.with_row_index("row").select("row", "request_id", "user_id")
    checks = [("request_without_events", "request_id", events, "Nothing can be learnt from it")]
    if tables.users is not None:
        checks.append(
            ("request_of_unknown_user", "user_id", tables.users, "Add the user to users.parquet")
        )
    findings = []
    for kind, key, known, remedy in checks:
        missing = requests.join(known.select(key).unique(), on=key, how="anti")
        count, first = _collect(
            "requests.parquet", missing.select(pl.len(), pl.col("row").min())
        ).row(0)
        if count:
            findings.append(Finding(kind, "requests.parquet", key, count, first, "kept", remedy))
    return findings


def _collect(file: str, frame: pl.LazyFrame) -> pl.DataFrame:
    try:
        return frame.collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        raise unreadable(file, error) from error
