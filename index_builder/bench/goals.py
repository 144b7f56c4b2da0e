"""What the search is to reach, held against the figures of one run over trained vectors.

Decisions
- A ratio of times is within rounds (`rounds.py`), and between the best variants of both at one list
  length and recall. A rival that never gets there is beaten there: it has no time to compare.
- Of several list lengths and recalls the least favourable one counts, unless the goal names one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LENGTHS, TARGETS = (50, 100, 500), (0.95, 0.98)
BYTES = {"fp16": 140, "compact": 75}  # a vector, by variant of ours
LOST = 0.006  # of the recall, by fewer bytes
EXACT = {1_000_000: 35, 4_000_000: 90}  # times faster, from so many items on
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """A figure and its bound; `value` is None where the run has no such figure."""

    name: str
    bound: str
    value: float | None
    met: bool


def goals(document: Row) -> list[Goal]:
    """All that the figures can tell."""
    found = {each["name"]: each for each in document["sets"]}
    trained = found.get("trained", document["sets"][0])
    return [
        *_over_exact(trained),
        *_speed(trained),
        *_bytes(trained),
        *_lost(trained),
        *_promise(trained),
        *_layouts(document),
        *_build(trained),
    ]


def best(document: Row, contender: str, k: int, target: float) -> Row | None:
    """Its fastest point that reaches the target, else the one that finds most; None if absent.

    The effort map's point is another product of ours, and compared with nobody.
    """
    points = [
        {**point, "variant": row["variant"]}
        for row in document["contenders"]
        if row["contender"] == contender and row["variant"] != "effort map"
        for point in row["points"]
        if point["k"] == k and point["target"] == target
    ]
    reached = [point for point in points if point["reached"]]
    if reached:
        return min(reached, key=lambda point: float(point["ms"]))
    return max(points, key=lambda point: float(point["worst"]), default=None)


def _over_exact(document: Row) -> Iterator[Goal]:
    exact, ours = (best(document, each, 500, 0.95) for each in ("exact", "ours"))
    bound = max((times for items, times in EXACT.items() if items <= document["items"]), default=0)
    if exact and ours and bound:
        ratio = exact["over_first"] / ours["over_first"]
        name = "times faster than exact, k = 500, recall 0.95"
        yield Goal(name, f"≥ {bound}", ratio, ratio >= bound)


def _speed(document: Row) -> Iterator[Goal]:
    if ratios := _over_ours(document, "faiss_ivf"):
        name = "times faster than FAISS's inverted file, least of all"
        yield Goal(name, "≥ 3", min(ratios), min(ratios) >= 3)
    if ratios := _over_ours(document, "scann_tree"):
        slowest = 1 / min(ratios)
        yield Goal("of ScaNN's time, most of all", "≤ 1", slowest, slowest <= 1)
        middle = 1 / sorted(ratios)[(len(ratios) - 1) // 2]
        yield Goal("of ScaNN's time, at most points", "≤ 0.8", middle, middle <= 0.8)


def _over_ours(document: Row, contender: str) -> list[float]:
    """A rival's time over ours wherever it reaches the recall."""
    ratios = []
    for k in LENGTHS:
        for target in TARGETS:
            theirs, ours = (best(document, each, k, target) for each in (contender, "ours"))
            if theirs and ours and theirs["reached"] and ours["reached"]:
                ratios.append(theirs["over_first"] / ours["over_first"])
    return ratios


def _bytes(document: Row) -> Iterator[Goal]:
    for row in document["contenders"]:
        bound = BYTES.get(row["variant"]) if row["contender"] == "ours" else None
        if bound:
            each = row["bytes"] / document["items"]
            yield Goal(f"bytes a vector, {row['variant']}", f"≤ {bound}", each, each <= bound)


def _lost(document: Row) -> Iterator[Goal]:
    rows = document.get("lost", [])
    for variant in dict.fromkeys(row["variant"] for row in rows):
        lost = max(row["lost"] for row in rows if row["variant"] == variant)
        yield Goal(f"recall lost at equal visits, {variant}", f"≤ {LOST}", lost, lost <= LOST)


def _promise(document: Row) -> Iterator[Goal]:
    rows = document.get("promise", [])
    for where, title in (("on_grid", "on the grid"), ("off_grid", "off the grid")):
        if rows:
            worst = min(row[where]["worst"] for row in rows)
            target = rows[0]["target"]
            name = f"recall of fresh users at the map's effort, worst weights {title}"
            yield Goal(name, f"≥ {target:g}", worst, worst >= target)
    if rows:
        spread = max(row["on_grid"]["spread"] for row in rows)
        yield Goal("spread of that recall over the grid", "≤ 0.01", spread, spread <= 0.01)


def _layouts(document: Row) -> Iterator[Goal]:
    rows = {row["name"]: row for row in document.get("layouts", {}).get("rows", [])}
    if rows:
        csmf = rows["CSMF"]
        time, size = csmf["time_ratio"], csmf["bytes_ratio"]
        yield Goal("weighted over unweighted search, same cells", "≤ 1.01", time, time <= 1.01)
        yield Goal("index bytes over one objective's", "≤ 1", size, size <= 1)


def _build(document: Row) -> Iterator[Goal]:
    seconds = {row["contender"]: row["build_seconds"] for row in document["contenders"]}
    if "ours" in seconds:
        ours = seconds["ours"]
        share = ours["effort map"] / ours["all"]
        yield Goal("effort map, of the build", "≤ 0.2", share, share <= 0.2)
        if "faiss_ivf" in seconds:
            ratio = (ours["all"] - ours["effort map"]) / seconds["faiss_ivf"]["all"]
            yield Goal("k-means and fill over FAISS's own", "≤ 1.3", ratio, ratio <= 1.3)
