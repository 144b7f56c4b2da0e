"""Ask a running service for filtered lists, from all items to one in a thousand: recall and time.

Decisions
- The truth comes from the service too: with k as large as the catalogue a search visits every cell,
  and the first of that list that pass are the exact answer.
- Two attributes, of which the lowest share passes: `apart` knows nothing of the vectors; `near` is
  the distance from one item in the space of the item's content, so that the filter is a cluster.
- An item counts as found by its score, so that ties are fair. A scan reads exact vectors and an
  inverted file of fp16 rounded ones: scores are compared with a slack of a thousandth.
- Time is what the service says it spent on the search, one query at a time, the filter remembered;
  the first time of each filter, which evaluates it, is a figure of its own.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from loadtests.reliability.asking import ask
from loadtests.reliability.pairs import csmf_index, find_pairs
from loadtests.reliability.running import RunningService
from loadtests.verdict import Threshold

SHARES = (1.0, 0.5, 0.1, 0.01, 0.001)
LENGTHS = (50, 500)
ATTRIBUTES = ("apart", "near")
SLACK = 1e-3
TARGET = 0.95
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """The lowest share of an attribute passes, in lists of length k."""

    attribute: str
    share: float
    k: int

    @property
    def name(self) -> str:
        """For a figure."""
        return f"{self.attribute}_{100 * self.share:g}%_k{self.k}"


CASES = [Case(name, share, k) for name in ATTRIBUTES for share in SHARES for k in LENGTHS]


@dataclass(frozen=True)
class Truth:
    """All items for one user, best first: their rows in the index, and their scores."""

    rows_N: NDArray[np.int64]
    scores_N: Floats

    def recall(self, passes_N: NDArray[np.bool_], scores_K: Floats, k: int) -> float:
        """Share of the exact list, of those that pass, that a list with these scores holds."""
        exact_K = self.scores_N[passes_N[self.rows_N]][:k]
        least = exact_K[-1] - SLACK * np.abs(exact_K).max()
        return float(np.count_nonzero(scores_K >= least) / len(exact_K))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of this experiment."""
    add = parser.add_argument
    add("--releases", type=Path, help="whose index has the attributes; default: one made here")
    add("--items", type=int, default=200_000, help="of the index made here (default: %(default)s)")
    add("--users", type=int, default=32, help="golden users who ask (default: %(default)s)")


def thresholds(_: argparse.Namespace) -> list[Threshold]:
    """What must be reached."""
    recalls = [Threshold("filters", f"recall_{case.name}", at_least=TARGET) for case in CASES]
    return [*recalls, Threshold("filters", "items_that_do_not_pass", at_most=0)]


def run(options: argparse.Namespace, work: Path) -> dict[str, float]:
    """Ask; the figures."""
    work.mkdir(parents=True, exist_ok=True)
    pair = find_pairs(options.releases or _make(work, options.items))[0]
    index = pair.releases / pair.run_id / "index" / pair.build_id
    ids_N = np.load(index / "item_ids.npy").astype(str)
    columns = {name: np.load(index / f"attribute.{name}.npy") for name in ATTRIBUTES}
    users = pair.users()[: options.users]
    figures: dict[str, float] = {"items": len(ids_N), "users": len(users)}
    with RunningService(pair.releases, work, "--max-k", str(len(ids_N))) as service:
        truths = [_truth(service, user, ids_N) for user in users]
        for case in CASES:
            limit = np.quantile(columns[case.attribute], case.share, method="inverted_cdf")
            passes_N = columns[case.attribute] <= limit
            conditions = [{"attribute": case.attribute, "max": limit}]
            asked = {"filter": conditions, "k": case.k}
            answers = [ask(service, user=user, **asked) for user in [users[0], *users]]
            figures |= _judge(case, answers[1:], truths, passes_N)
            figures[f"first_ms_{case.name}"] = answers[0]["timings_ms"]["search"]
            wrong = sum(_wrong(answer, passes_N, ids_N) for answer in answers)
            figures["items_that_do_not_pass"] = wrong + figures.get("items_that_do_not_pass", 0)
    return figures


def _judge(
    case: Case,
    answers: Sequence[dict[str, Any]],
    truths: Sequence[Truth],
    passes_N: NDArray[np.bool_],
) -> dict[str, float]:
    """Recall and median time of one case."""
    recalls = [
        truth.recall(passes_N, np.array(answer["scores"]), case.k)
        for truth, answer in zip(truths, answers, strict=True)
    ]
    milliseconds = [answer["timings_ms"]["search"] for answer in answers]
    return {
        f"recall_{case.name}": round(statistics.fmean(recalls), 4),
        f"ms_{case.name}": round(statistics.median(milliseconds), 3),
    }


def _wrong(answer: dict[str, Any], passes_N: NDArray[np.bool_], ids_N: NDArray[np.str_]) -> int:
    """Items of an answer that should not be there, and those that are there twice."""
    rows_K = np.searchsorted(ids_N, answer["item_ids"])
    return int(np.count_nonzero(~passes_N[rows_K])) + len(rows_K) - len(np.unique(rows_K))


def _truth(service: RunningService, user: object, ids_N: NDArray[np.str_]) -> Truth:
    answer = ask(service, user=user, k=len(ids_N))
    return Truth(np.searchsorted(ids_N, answer["item_ids"]), np.array(answer["scores"]))


def _make(work: Path, items: int) -> Path:
    """An inverted file of an untrained release, with both attributes; kept if it is there."""
    from tests.support.release import make_release  # noqa: PLC0415  only where none are given

    releases = work / "releases"
    if not (releases / "CURRENT").exists():
        release = make_release(work, items=items, users=2000, requests=2000)
        _add_columns(release.log / "items.parquet")
        users = str(min(512, items // 25))  # what a small index is calibrated with
        options = ("--log", str(release.log), "--exact-below", "0", "--threads", "1")
        options += ("--max-effort", "1", "--users", users)
        named = ("--attributes", ",".join(ATTRIBUTES))
        csmf_index("--release", str(release.directory), *options, *named, "--publish")
    return releases


def _add_columns(path: Path) -> None:
    """`apart` and `near`, both spread evenly over 0 to 1."""
    table = pq.read_table(path)
    count = table.num_rows
    content_ND = np.stack(table["content"].to_numpy())
    distances_N = np.square(content_ND - content_ND[0]).sum(axis=1)
    apart_N = np.random.default_rng(0).permutation(count) / count
    near_N = np.argsort(np.argsort(distances_N)) / count
    table = table.append_column("apart", pa.array(apart_N))
    pq.write_table(table.append_column("near", pa.array(near_N)), path)
