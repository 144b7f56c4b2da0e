"""docs/results/bench.md, written from the figures beside it and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from index_builder.bench.contenders.ours import DEFAULT, WHOLE
from index_builder.bench.goals import (
    BY_MAP,
    LENGTHS,
    OURS,
    TARGETS,
    Goal,
    best,
    goals,
    goals_of_layouts,
)

Document = Mapping[str, Any]
TITLES = {WHOLE: "Codes of fp16", DEFAULT: "Codes of 4 bits, what is found scored again"}
CODES = {WHOLE: "fp16", DEFAULT: "4 bits"}
INTRO = """# The search beside its rivals

What `make bench` (a million items) and `make bench-full` (four) measured, written by `python -m
index_builder.bench page` from the figures in [{folder}/]({folder}). How: `index_builder/bench/`.

- All contenders search the same vectors for the same queries: users under each of the 15 weightings
  of a grid. Their effort is the least that reaches the recall in the **worst** of these weightings,
  judged by score, so that ties are fair.
- All rank by inner product, graphs marked `l2` by a distance that ranks alike (`extended.py`), and
  search for one query at a time, on one thread, each in a process of its own, all pinned to one
  core. Rounds ask every contender in turn; times are medians over rounds of the median over
  queries, and a ratio is the median over rounds of the ratio within a round.
- Settings of each library are `VARIANTS` of its file in `index_builder/bench/contenders/`, at the
  run's commit; the fastest that reaches the recall is shown. With `--all-variants` (250,000 items)
  all builds take part, else the first and those marked `usual`, of which heavy tails have more,
  with all settings of their search: not always the best ones, as graphs with more links take twice
  as long to build. Each is built once.
- Rivals are built from the items alone. Ours also sees the users whom a release has kept, 256 of
  them, under the weights of the same grid; speed off the grid is not compared.
- `trained` vectors are those of a model trained on a simulated log, enlarged; `heavy` ones are
  synthetic, of heavy tails: `index_builder/bench/vectors.py`. What is enlarged more than ten times
  lies in clouds, which whatever visits cells finds sooner than a catalogue's own items
  (`index_builder/enlarge.py`): at four million go by ratios among those.
"""
PREDICTED = """Predicted, never run: the same inverted file on one machine however large, or divided
at random among machines of 64 GiB, a quarter of it left free. Milliseconds are those of the fit,
and of a query that visits as many cells as at the largest size measured: enlarged vectors lie in
clouds, so that fewer are visited the more there are, which real ones need not allow.
"""


def page(folder: Path) -> str:
    """The page over all runs that left figures in the folder."""
    paths = sorted(folder.glob("search-*.json"), key=lambda path: int(path.stem.split("-")[1]))
    parts = [INTRO.format(folder=folder.name)]
    parts += ["\n".join(_run(json.loads(path.read_text()), path, folder)) for path in paths]
    if (folder / "growth.json").exists():
        document = json.loads((folder / "growth.json").read_text())
        parts.append("\n".join(_growth(document, folder)))
    if len(parts) == 1:
        parts.append("No run has left figures yet.")
    return "\n".join(parts).rstrip() + "\n"


def _run(document: Document, path: Path, folder: Path) -> Iterator[str]:
    yield f"## {document['setting']['items']:,} items\n"
    yield from _origin(document, path, folder)
    yield "| goal | vectors | bound | reached | |\n|---|---|---|---|---|"
    for vectors in document["sets"]:
        of = f"{vectors['name']}, {vectors['items']:,}"
        yield from (_goal(goal, of) for goal in goals(vectors))
    if "layouts" in document:
        of = f"trained, {document['layouts']['items']:,}"
        yield from (_goal(goal, of) for goal in goals_of_layouts(document["layouts"]))
    for vectors in document["sets"]:
        yield from _set(vectors, path, folder)
    if "layouts" in document:
        yield from _layouts(document["layouts"])


def _goal(goal: Goal, vectors: str) -> str:
    verdict = "met" if goal.met else "**missed**"
    return f"| {goal.name} | {vectors} | {goal.bound} | {_short(goal.value)} | {verdict} |"


def _origin(document: Document, path: Path, folder: Path) -> Iterator[str]:
    machine = document["machine"]
    yield (
        f"`{document['command']}`, commit {document['commit']}, {document['date']}; "
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}, {machine['faiss']}; load {machine['load']} when it began; "
        f"{sum(document['seconds'].values()) / 60:.0f} minutes{_asked(document)}. "
        f"All figures: [{path.name}]({folder.name}/{path.name}).\n"
    )
    if machine["load"] >= machine["cores"]:  # this run's own steps before count, too
        clock = document.get("clock", "wall")
        yield f"Other programs ran beside it, and times are by the {clock} clock: go by ratios.\n"


def _asked(document: Document) -> str:
    """Of a search benchmark: how much was asked."""
    if "setting" not in document:
        return ""
    setting = document["setting"]
    timed = f", {setting['timed']} of them timed" if "timed" in setting else ""
    return f"; {setting['users']} users under each weighting{timed}, {setting['rounds']} rounds"


def _set(vectors: Document, path: Path, folder: Path) -> Iterator[str]:
    picture = f"{folder.name}/{path.stem}-{vectors['name']}.png"
    yield f"\n### {vectors['name'].capitalize()} vectors, {vectors['items']:,}\n"
    yield f"{vectors['note']}\n\n![recall over time]({picture})\n"
    for k in LENGTHS:
        yield from _table(vectors, k)
    yield from _costs(vectors)
    yield from _left_out(vectors)
    yield from _promise(vectors)


def _table(vectors: Document, k: int) -> Iterator[str]:
    heads = [f"| recall ≥ {target} | effort | ms | over ours" for target in TARGETS]
    yield f"k = {k}\n\n| contender {' '.join(heads)} |"
    yield "|---" + "|---|---:|---:|---:" * len(TARGETS) + "|"
    searched = [row for row in vectors["contenders"] if row["variant"] != BY_MAP]
    for name, variant in dict.fromkeys(map(_line, searched)):
        cells = (_cells(vectors, name, k, target, variant) for target in TARGETS)
        yield f"| {name} {' '.join(cells)} |"
    yield from _by_map(vectors, k)
    yield ""


def _line(row: Document) -> tuple[str, str]:
    """Contender and variant: each of ours has a line of its own, those of another share one."""
    return row["contender"], row["variant"] if row["contender"] == OURS else ""


def _cells(vectors: Document, name: str, k: int, target: float, variant: str = "") -> str:
    point, ours = best(vectors, name, k, target, variant), best(vectors, OURS, k, target)
    if point is None or ours is None:
        return "| | | |"
    if not point["reached"]:
        found = f"never, {point['worst']:.3f} with {point['variant']}"
        return f"| {found} | {point['effort']} | {point['ms']:.2f} | "
    ratio = point["over_first"] / ours["over_first"]
    return f"| {point['variant']} | {point['effort']} | {point['ms']:.3f} | {ratio:.2f}"


def _by_map(vectors: Document, k: int) -> Iterator[str]:
    """Ours as it is served: each weighting at the effort of its map."""
    for row in vectors["contenders"]:
        for point in row["points"] if row["variant"] == BY_MAP else ():
            if point["k"] == k:
                ratio = f"{point['over_first']:.2f}" if point["reached"] else ""
                yield (
                    f"| ours, as served | effort map, finds {point['worst']:.3f} of these users' "
                    f"| ≤ {point['effort']} | {point['ms']:.3f} | {ratio} | | | | |"
                )


def _costs(vectors: Document) -> Iterator[str]:
    yield (
        "| contender | library | variant | bytes a vector | with vectors read | resident | private "
        "| build, s |"
    )
    yield "|---|---|---|" + "---:|" * 5
    for row in vectors["contenders"]:
        if row["variant"] != BY_MAP:
            sizes = (row["bytes"], row["bytes"] + row.get("vectors", 0))
            each = [size / vectors["items"] for size in (*sizes, row["resident"], row["private"])]
            yield (
                f"| {row['contender']} | {row['library']} | {row['variant']} "
                f"| {' | '.join(f'{value:.0f}' for value in each)} "
                f"| {_build(row['build_seconds'])} |"
            )
    yield (
        "\nBytes a vector: of the files, and with the items' vectors where searches read them: a "
        "release has those in any case, for whatever index. Then what the process grew by once it "
        "had searched through: mapped pages count in `resident`, not in `private`, and the kernel "
        "maps more than are read. Builds had all cores; FAISS's of as many cells share a k-means.\n"
    )


def _build(seconds: Mapping[str, float]) -> str:
    parts = [f"{name} {value:.1f}" for name, value in seconds.items() if name != "all"]
    return f"{seconds['all']:.1f}" + (f" ({', '.join(parts)})" if parts else "")


def _left_out(vectors: Document) -> Iterator[str]:
    for name, reason in vectors["left_out"].items():
        yield f"Left out: {name}, {reason}.\n"


def _promise(vectors: Document) -> Iterator[str]:
    if not vectors.get("promise"):
        return
    yield "The effort map's promise, held by users it never saw; recall, least, mean, spread:\n"
    yield "| k | promised | on the grid | off the grid | worst there, for weights |"
    yield "|---|---|---|---|---|"
    for row in vectors["promise"]:
        on, off = (
            " · ".join(f"{row[where][each]:.4f}" for each in ("worst", "mean", "spread"))
            for where in ("on_grid", "off_grid")
        )
        weights = " : ".join(f"{value:.3g}" for value in row["worst_weights"])
        yield f"| {row['k']} | {row['target']:g} | {on} | {off} | {weights} |"
    count = vectors["promise"][0]["off_grid"]["weights"]
    yield f"\nOff the grid: {count} weightings, with zeros, and all orders of 100 : 1 : 0.01.\n"


def _layouts(layouts: Document) -> Iterator[str]:
    yield f"\n### Ways to serve several objectives, {layouts['items']:,} items\n"
    yield "| layout | dims | searches | bytes | ms, same cells | ratio | ms, same recall | ratio |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for row in layouts["rows"]:
        yield (
            f"| {row['name']} | {row['item_dims']} | {row['searches']} | {row['bytes_ratio']:.2f} "
            f"| {row['milliseconds']:.3f} | {row['time_ratio']:.3f}{_quartiles(row)} "
            f"| {row['milliseconds_at_recall']:.3f} | {row['time_ratio_at_recall']:.3f} |"
        )
    yield (
        "\nRatios are to MOPPR, one unweighted vector, in brackets the quartiles of the rounds; "
        "CSMF's scaling is in its time.\n"
    )


def _quartiles(row: Document) -> str:
    quartiles = row.get("time_ratio_quartiles")
    return f" ({quartiles[0]:.3f} to {quartiles[1]:.3f})" if quartiles else ""


def _growth(document: Document, folder: Path) -> Iterator[str]:
    yield "## Growth\n"
    yield from _origin(document, folder / "growth.json", folder)
    yield f"{document['note']} Default weights, k = 500, recall 0.95.\n"
    yield f"![cost over items]({folder.name}/growth.png)\n"
    for build, found in document["builds"].items():
        yield from _grown(build, found)
    yield from _predictions(document["builds"])


def _grown(build: str, found: Document) -> Iterator[str]:
    yield f"### {TITLES[build]}\n"
    yield "| items | cells | visited | ms | MB | resident MB | k-means s | fill s | effort map s |"
    yield "|---:" * 9 + "|"
    for row in found["sizes"]:
        yield (
            f"| {row['items']:,} | {row['cells']:.0f} | {row['visited']:.0f} | {row['ms']:.3f} "
            f"| {row['bytes'] / 1e6:,.1f} | {row['resident'] / 1e6:,.1f} | {row['k-means']:.1f} "
            f"| {row['fill']:.1f} | {row['calibrate']:.1f} |"
        )
    (held_out,) = {each["items"] for each in found["check"]}
    yield f"\n| cost | fixed part | grows as | predicted for {held_out:,} | found |"
    yield "|---|---:|---|---:|---:|"
    for each in found["check"]:
        fitted = found["fits"][each["cost"]]
        grows = f"{_short(fitted['fixed'])} | N^{fitted['exponent']:.2f}"
        yield (
            f"| {each['cost']} | {grows} | {_short(each['predicted'])} | {_short(each['found'])} |"
        )
    yield ""


def _predictions(builds: Document) -> Iterator[str]:
    yield "### Far larger catalogues\n"
    yield PREDICTED
    yield (
        "| items | codes | index, GiB | in memory | with vectors, on disk | ms | build, h "
        "| machines | ms of a part | build of a part, h |"
    )
    yield "|---:|---" + "|---:" * 8 + "|"
    rows = [(build, row) for build, found in builds.items() for row in found["predictions"]]
    for build, row in sorted(rows, key=lambda each: each[1]["items"]):
        yield (
            f"| {row['items']:,} | {CODES[build]} | {row['gib']:,.0f} | {row['memory_gib']:,.0f} "
            f"| {row['disk_gib']:,.0f} | {row['ms']:.1f} to {row['steady_ms']:.1f} "
            f"| {row['build_hours']:,.1f} | {row['machines']} "
            f"| {row['part_ms']:.1f} to {row['part_steady_ms']:.1f} "
            f"| {row['part_build_hours']:,.1f} |"
        )


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
