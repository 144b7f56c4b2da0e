"""One set of vectors: every entrant swept to the same recall, then all timed in turns.

Decisions
- An entrant has one effort for all weights, the least that reaches the recall in the worst
  direction; ours is asked once more with the efforts of its map, a direction each (`map`).
- Entrants are swept beside each other, one a core: recall does not mind. For the timing all are
  pinned to one core, and only one of them works.
- What never reaches a recall is timed at its largest effort, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index_builder.bench.contenders.ours import COMPACT, VARIANTS, WHOLE, read_map
from index_builder.bench.entrants import CONTENDERS, Choice, Entrant, Field, admit
from index_builder.bench.goals import BY_MAP, LENGTHS, TARGETS
from index_builder.bench.promise import by_map, promise
from index_builder.bench.questions import Questions, ask
from index_builder.bench.rounds import Entry, alternate, ratio
from index_builder.bench.sweep import Point, Recall, least_effort
from index_builder.bench.vectors import Drawn
from index_builder.grid import weight_directions
from index_builder.progress import Phases

MAP_TARGET = 0.95
FIRST_EFFORT = 16
Document = dict[str, object]


@dataclass(frozen=True)
class Setting:
    """What is measured."""

    items: int
    users: int
    rounds: int
    timed: int
    contenders: tuple[str, ...]
    choice: Choice
    curve: tuple[float, ...]  # recalls of the plot, beside the targets
    clock: str = "wall"


@dataclass(frozen=True)
class Timed:
    """An entry, and the point of the sweep that it is."""

    entrant: Entrant
    variant: str
    k: int
    point: Point
    entry: Entry


def measure(
    setting: Setting, drawn: Drawn, work: Path, cores: set[int], phases: Phases
) -> Document:
    """Everything about one set, as JSON."""
    directions_GS = weight_directions(len(drawn.given.segments.names))
    with phases(f"{drawn.name}: exact lists"):
        questions = ask(drawn.given, drawn.asking_UM, directions_GS, LENGTHS)
    with ExitStack() as stack:
        arguments = setting.contenders, drawn.given, work, setting.choice, cores
        field = admit(*arguments, phases, stack)
        timed = _sweep_all(setting, drawn, field, questions, work, cores, phases)
        seconds_RE = _time_all(setting, timed, questions, min(cores), phases)
        document: Document = {
            "name": drawn.name,
            "note": drawn.note,
            "items": len(questions.items_NM),
            "segments": list(drawn.given.segments.sizes),
            "directions": directions_GS.tolist(),
            "left_out": field.left_out | _not_asked(setting),
            "contenders": _rows(field, timed, seconds_RE),
        }
        ours = next((each for each in field.entrants if each.name == "ours"), None)
        if ours:
            with phases(f"{drawn.name}: the map's promise"):
                effort = read_map(work / "ours" / VARIANTS[0].files)
                document["promise"] = promise(drawn, ours.worker, VARIANTS[0].name, effort, LENGTHS)
                document["lost"] = _lost(ours, questions, timed)
    return document


def _not_asked(setting: Setting) -> dict[str, str]:
    """Whom this run spared itself, and why."""
    absent = (name for name in CONTENDERS if name not in setting.contenders)
    return dict.fromkeys(absent, "this run was made without it")


def _sweep_all(
    setting: Setting,
    drawn: Drawn,
    field: Field,
    questions: Questions,
    work: Path,
    cores: set[int],
    phases: Phases,
) -> list[Timed]:
    wanted = [
        (entrant, variant.name, k)
        for entrant in field.entrants
        for variant in entrant.variants
        for k in LENGTHS
    ]
    places_Q = questions.mixed(setting.timed)
    targets = sorted({*TARGETS, *setting.curve})
    with phases(f"{drawn.name}: sweep", "curves", len(wanted)) as progress:

        def swept(entrant: Entrant, mine: Sequence[tuple[Entrant, str, int]]) -> list[Timed]:
            timed, start = [], FIRST_EFFORT
            for _, variant, k in mine:
                points = _points(entrant, variant, k, questions, targets, start)
                timed += [_timed(entrant, variant, k, each, len(places_Q)) for each in points]
                start = points[0].effort if points[0].reached else FIRST_EFFORT
                progress.advance(1)
            return timed

        longest = sorted(field.entrants, key=lambda entrant: -len(entrant.variants))  # first
        groups = [[each for each in wanted if each[0] is entrant] for entrant in longest]
        with ThreadPoolExecutor(len(cores)) as pool:
            timed = [each for group in pool.map(swept, longest, groups) for each in group]
    if field.entrants and field.entrants[0].name == "ours":
        timed += _by_map(field.entrants[0], questions, places_Q, work)
    return timed


def _points(
    entrant: Entrant,
    variant: str,
    k: int,
    questions: Questions,
    targets: Sequence[float],
    start: int,
) -> list[Point]:
    if entrant.most[variant] == 1:
        return [Point(target, 1, 1.0, 1.0, 0.0) for target in targets]  # a scan
    recall = Recall(partial(_recall, entrant, variant, k, questions), len(questions.directions_GS))
    points: list[Point] = []
    for target in targets:
        first = points[-1].effort if points else start
        points.append(least_effort(recall, target, entrant.most[variant], first))
    return points


def _recall(
    entrant: Entrant, variant: str, k: int, questions: Questions, effort: int, direction: int
) -> float:
    queries_UM = questions.queries_QM[questions.of(direction)]
    efforts_U = np.full(len(queries_UM), effort)
    rows_UK = entrant.worker.search(variant, queries_UM, k, efforts_U)
    return questions.recall(direction, rows_UK)


def _lost(ours: Entrant, questions: Questions, timed: Sequence[Timed]) -> list[Document]:
    """What codes of 8 bits lose of whole ones' recall, in the worst direction: the same visits."""
    if not {WHOLE, COMPACT} <= {each.name for each in ours.variants}:
        return []
    rows: list[Document] = []
    for each in timed:
        if each.entrant is ours and each.variant == WHOLE and each.point.target in TARGETS:
            whole_G = _recalls(ours, WHOLE, each, questions)
            lost = float((whole_G - _recalls(ours, COMPACT, each, questions)).max())
            row = {"variant": COMPACT, "k": each.k, "target": each.point.target, "lost": lost}
            rows.append(row)
    return rows


def _recalls(ours: Entrant, variant: str, at: Timed, questions: Questions) -> NDArray[np.float64]:
    """[G] of a variant at a point's list length and effort, for each direction."""
    directions = range(len(questions.directions_GS))
    effort = at.point.effort
    return np.array([_recall(ours, variant, at.k, questions, effort, each) for each in directions])


def _timed(entrant: Entrant, variant: str, k: int, point: Point, queries: int) -> Timed:
    efforts_Q = np.full(queries, point.effort)
    return Timed(entrant, variant, k, point, Entry(entrant.worker, variant, k, efforts_Q))


def _by_map(
    ours: Entrant, questions: Questions, places_Q: NDArray[np.int64], work: Path
) -> list[Timed]:
    """Ours once more, each direction at the effort that its map gives."""
    variant, timed = VARIANTS[0], []
    effort_map = read_map(work / ours.name / variant.files)
    for k in LENGTHS:
        efforts_G = np.array([effort_map.lookup(each, k) for each in questions.directions_GS])
        recalls = by_map(questions, ours.worker, variant.name, effort_map, k)
        spread = max(recalls) - min(recalls)
        mean = sum(recalls) / len(recalls)
        found = Point(MAP_TARGET, int(efforts_G.max()), min(recalls), mean, spread)
        efforts_Q = efforts_G[places_Q // questions.users]
        entry = Entry(ours.worker, variant.name, k, efforts_Q)
        timed.append(Timed(ours, BY_MAP, k, found, entry))
    return timed


def _time_all(
    setting: Setting, timed: Sequence[Timed], questions: Questions, core: int, phases: Phases
) -> NDArray[np.float64]:
    for worker in {each.entrant.worker for each in timed}:
        worker.pin({core})
    queries_QM = questions.queries_QM[questions.mixed(setting.timed)]
    keys = [(each.entrant.name, *each.entry.key) for each in timed]
    entries = (replace(each.entry, clock=setting.clock) for each in timed)
    once = dict(zip(keys, entries, strict=True))  # targets may share efforts
    with phases("time", "blocks", len(once) * (setting.rounds + 1)) as progress:
        seconds_RE = alternate(list(once.values()), queries_QM, setting.rounds, progress)
    places = {key: place for place, key in enumerate(once)}
    return seconds_RE[:, [places[key] for key in keys]]


def _rows(field: Field, timed: Sequence[Timed], seconds_RE: NDArray[np.float64]) -> list[Document]:
    reference = {
        (each.k, each.point.target): place
        for place, each in enumerate(timed)
        if each.entrant is field.entrants[0] and each.variant == field.entrants[0].variants[0].name
    }
    rows: list[Document] = []
    for entrant in field.entrants:
        names = [each.name for each in entrant.variants]
        for variant in [*names, BY_MAP] if entrant.name == "ours" else names:
            points = [
                {"k": each.k, **asdict(each.point), "reached": each.point.reached}
                | {
                    "ms": 1000 * float(np.median(seconds_RE[:, place])),
                    "over_first": ratio(seconds_RE, place, reference[each.k, each.point.target]),
                }
                for place, each in enumerate(timed)
                if each.entrant is entrant and each.variant == variant
            ]
            built = names[0] if variant == BY_MAP else variant
            row = {"contender": entrant.name, "library": entrant.version, "variant": variant}
            cost = asdict(entrant.costs[built]) | {"vectors": entrant.vectors[built]}
            rows.append({**row, "effort": entrant.effort, **cost, "points": points})
    return rows
