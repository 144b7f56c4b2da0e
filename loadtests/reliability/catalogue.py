"""Change the catalogue of a running service: how soon, how surely, and is what is new found?

Decisions
- A round hands in one file: items removed, items changed, and new ones that are like items that
  users are shown, so that they belong into lists. Users ask all the while, one after the other.
- Fresh is when no worker is behind: /metrics shows the position of the one furthest behind. Seconds
  count from the end of the command, and from its start.
- The truth comes from the service: with k as large as the catalogue every item is scored. New items
  that belong into a list of k must be in it.
- No answer that has the changes may hold an item that they removed, and no request may fail.
- At the end the service is started again: its first answer must have every change.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loadtests.reliability.asking import ask, metric
from loadtests.reliability.pairs import csmf_index, find_pairs
from loadtests.reliability.running import RunningService, ServiceError
from loadtests.verdict import Threshold

FRESH_S = 10.0  # from the end of the command
GIVE_UP_S = 60.0
K = 100


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of this experiment."""
    add = parser.add_argument
    add("--items", type=int, default=50_000, help="of the index (default: %(default)s)")
    add("--rounds", type=int, default=10, help="files handed in (default: %(default)s)")
    add("--rows", type=int, default=300, help="of a file (default: %(default)s)")
    add("--workers", type=int, default=2, help="of the service (default: %(default)s)")


def thresholds(_: argparse.Namespace) -> list[Threshold]:
    """What must be reached."""
    return [
        Threshold("catalogue", "failed_requests", at_most=0),
        Threshold("catalogue", "answers_with_removed_items", at_most=0),
        Threshold("catalogue", "seconds_until_fresh_at_most", at_most=FRESH_S),
        Threshold("catalogue", "recall_of_new_items", at_least=1),
        Threshold("catalogue", "changes_behind_after_restart", at_most=0),
    ]


def run(options: argparse.Namespace, work: Path) -> dict[str, float]:
    """Change; the figures."""
    work.mkdir(parents=True, exist_ok=True)
    shop = _make(work, options.items)
    flags = ("--workers", str(options.workers), "--max-k", str(4 * options.items))
    asked, rounds = Asked(shop.users), []
    with RunningService(shop.releases, work, *flags) as service:
        with _asking(service, asked):
            for number in range(1, options.rounds + 1):
                rows = shop.rows(number, options.rows, asked.shown)
                began = time.monotonic()
                shop.hand_in(rows)
                written = time.monotonic()
                _wait(service, number)
                fresh = time.monotonic()
                asked.removed[number] = {row["item_id"] for row in rows if row["removed"]}
                rounds.append((fresh - written, fresh - began))
        found, belonging = _new_items(service, shop)
    with RunningService(shop.releases, work, *flags) as service:
        again = ask(service, user=shop.users[0], k=K)
    after_command, in_all = zip(*rounds, strict=True)
    return {
        "items": options.items,
        "changes": options.rounds * options.rows,
        "requests": asked.requests,
        "failed_requests": asked.failed,
        "answers_with_removed_items": asked.wrong,
        "seconds_until_fresh": round(statistics.median(after_command), 2),
        "seconds_until_fresh_at_most": round(max(after_command), 2),
        "seconds_with_the_command": round(statistics.median(in_all), 2),
        "new_items_that_belong_into_lists": belonging,
        "recall_of_new_items": round(found / max(belonging, 1), 4),
        "changes_behind_after_restart": options.rounds - again["catalogue_position"],
    }


@dataclass
class Shop:
    """A release, its catalogue, and who asks."""

    releases: Path
    log: Path
    users: list[dict[str, object]]
    items: dict[str, dict[str, Any]]

    def rows(self, number: int, count: int, shown: list[str]) -> list[dict[str, Any]]:
        """A third each removed, changed and new; removed and new ones from what users are shown."""
        third = count // 3
        known = [item_id for item_id in dict.fromkeys(shown) if item_id in self.items]
        alike = [self.items[item_id] for item_id in known[:third]]
        new = [{**row, "item_id": f"new{number}-{place}"} for place, row in enumerate(alike)]
        changed = [{**row, "price": 2 * row["price"]} for row in list(self.items.values())[:third]]
        gone = [self.items.pop(item_id) for item_id in known[:third]]
        rows = [{**row, "removed": False} for row in (*new, *changed)]
        kept = {row["item_id"] for row in rows}
        return rows + [{**row, "removed": True} for row in gone if row["item_id"] not in kept]

    def hand_in(self, rows: list[dict[str, Any]]) -> None:
        """As an operator would."""
        path = self.log / "changes.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path)
        csmf_index("--release", str(self.releases / "tiny"), "--changes", str(path))


@dataclass
class Asked:
    """What users were answered while the catalogue changed."""

    users: list[dict[str, object]]
    shown: list[str] = field(default_factory=list)
    removed: dict[int, set[str]] = field(default_factory=dict)
    requests: int = 0
    failed: int = 0
    wrong: int = 0

    def ask(self, service: RunningService) -> None:
        """The next user asks."""
        self.requests += 1
        try:
            answer = ask(service, user=self.users[self.requests % len(self.users)], k=K)
        except ServiceError:
            self.failed += 1
            return
        gone = [
            ids for place, ids in [*self.removed.items()] if place <= answer["catalogue_position"]
        ]
        self.wrong += any(not ids.isdisjoint(answer["item_ids"]) for ids in gone)
        self.shown = [*answer["item_ids"], *self.shown][: 50 * K]


@contextmanager
def _asking(service: RunningService, asked: Asked) -> Iterator[None]:
    """Let users ask until the context ends; many have before it begins."""
    for _ in asked.users:
        asked.ask(service)
    done = threading.Event()

    def loop() -> None:
        while not done.wait(0.02):
            asked.ask(service)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _new_items(service: RunningService, shop: Shop) -> tuple[int, int]:
    """New items that belong into the users' lists: how many are there, and how many should be."""
    found = belonging = 0
    for user in shop.users:
        truth = ask(service, user=user, k=2 * len(shop.items))["item_ids"][:K]
        new = {item_id for item_id in truth if item_id.startswith("new")}
        belonging += len(new)
        found += len(new & set(ask(service, user=user, k=K)["item_ids"]))
    return found, belonging


def _wait(service: RunningService, position: int) -> None:
    deadline = time.monotonic() + GIVE_UP_S
    while (metric(service, "csmf_catalogue_position") or 0) < position:
        if time.monotonic() > deadline:
            raise ServiceError(f"change {position} was not served within {GIVE_UP_S:g} s")
        time.sleep(0.02)


def _make(work: Path, items: int) -> Shop:
    """A published release of which nothing has changed yet."""
    from tests.support.release import make_release  # noqa: PLC0415  none can be given

    release = make_release(work, items=items)
    options = ("--log", str(release.log), "--attributes", "brand,price", "--threads", "1")
    csmf_index("--release", str(release.directory), *options, "--publish")
    rows = pq.read_table(release.log / "items.parquet").to_pylist()
    users = find_pairs(release.releases)[0].users()
    return Shop(release.releases, release.log, users, {row["item_id"]: row for row in rows})
