"""What the search is to reach, held against the figures of one run, for each set of vectors.

Decisions
- A ratio of times is within rounds (`rounds.py`), at one list length and recall. Who never gets
  there is beaten there, whatever the time: a rival, or ours.
- Ours is what a build takes by default, a rival's the best of its variants. FAISS's inverted file
  is judged three times: with the vectors as its factory keeps them by default, with codes of fp16,
  and with short codes whose best are scored again, which is what ours is.
- Of several list lengths and recalls the least favourable one counts, unless the goal names one.
- What a build takes is judged where whole builds are measured: `building_page.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LENGTHS, TARGETS = (50, 100, 500), (0.95, 0.98)
OURS = "ours"
BY_MAP = "effort map"  # the variant of ours that follows it
BYTES = {"default": 140, "compact": 75}  # a vector, by variant of ours
LOST = 0.006  # of the recall, by fewer bytes
FAISS = (  # contender, how its variants' names end, how that is said, times faster
    ("faiss_ivf", "Flat", "Flat", 3),
    ("faiss_ivf", "SQfp16", "SQfp16", 1),
    ("faiss_codes", "", "short codes", 1),
)
EXACT = {1_000_000: 35, 4_000_000: 90}  # times faster, from so many items on
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """A figure and its bound."""

    name: str
    bound: str
    value: float
    met: bool


def goals(vectors: Row) -> list[Goal]:
    """All that the figures of one set can tell."""
    judges = (_over_exact, _speed, _bytes, _lost, _promise)
    return [goal for judge in judges for goal in judge(vectors)]


def goals_of_layouts(layouts: Row) -> Iterator[Goal]:
    """Against an index of one objective, unweighted."""
    (csmf,) = (row for row in layouts["rows"] if row["name"] == "CSMF")
    time, size = csmf["time_ratio"], csmf["bytes_ratio"]
    yield Goal("weighted over unweighted search, same cells", "≤ 1.01", time, time <= 1.01)
    yield Goal("index bytes over one objective's", "≤ 1", size, size <= 1)


def best(document: Row, contender: str, k: int, target: float, variant: str = "") -> Row | None:
    """Its fastest point that reaches the target, else the one that finds most; None if absent.

    Only variants whose names end so, if a `variant` is given; of ours, without, the default one.
    """
    rows = [row for row in document["contenders"] if row["contender"] == contender]
    if contender == OURS and rows:
        variant = variant or rows[0]["variant"]
    points = [
        {**point, "variant": row["variant"]}
        for row in rows
        if row["variant"].endswith(variant)
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
        ratio = exact["over_first"] / ours["over_first"] if ours["reached"] else 0.0
        name = "times faster than exact, k = 500, recall 0.95"
        yield Goal(name, f"≥ {bound}", ratio, ratio >= bound)


def _speed(document: Row) -> Iterator[Goal]:
    for rival, codes, said, bound in FAISS:
        if of_theirs := _of_time(document, rival, codes):
            least, points = 1 / max(of_theirs), _points(of_theirs)
            name = f"times faster than FAISS's inverted file, {said}, least of {points}"
            yield Goal(name, f"≥ {bound}", least, least >= bound)
    if of_theirs := _of_time(document, "scann_tree"):
        slowest, middle = max(of_theirs), sorted(of_theirs)[len(of_theirs) // 2]
        name, points = "of ScaNN's time", _points(of_theirs)
        yield Goal(f"{name}, most of {points}", "≤ 1", slowest, slowest <= 1)
        yield Goal(f"{name}, in the middle of {points}", "≤ 0.8", middle, middle <= 0.8)


def _points(ratios: Sequence[float]) -> str:
    """Of all list lengths and recalls, those at which the rival gets there."""
    return f"{len(ratios)} of {len(LENGTHS) * len(TARGETS)} points"


def _of_time(document: Row, rival: str, variant: str = "") -> list[float]:
    """Our time of a rival's wherever it reaches the recall; infinite where we do not."""
    ratios = []
    for k in LENGTHS:
        for target in TARGETS:
            ours = best(document, OURS, k, target)
            theirs = best(document, rival, k, target, variant)
            if theirs and ours and theirs["reached"]:
                there = ours["over_first"] / theirs["over_first"]
                ratios.append(there if ours["reached"] else math.inf)
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
