"""Lists that need no model: what any trained list must be held against, on any log.

Decisions
- Everything is counted in the training part of the log. An item's count is its positives of all
  stages after the first; exposures only break ties, so that an unpopular item that was at least
  shown comes before one that never was.
- A context is the value of one request feature, such as the searched city; what was exposed under a
  value are that value's candidates, which is also what a filter on it would let through.
- Each anchor is a chain of lists: the next one fills what the one before leaves empty.

Dimension letters: Q queries, K ranks, N items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import polars as pl

from training.evaluation.lists import chain_lists
from training.evaluation.metrics import Rows
from training.logs.reader import Log

Ranked = Sequence[int]  # item rows, best first
NEIGHBOURS = 200  # kept per item by co-occurrence


@dataclass(frozen=True)
class Past:
    """Counts of the training part, as ranked lists of item rows."""

    popular: Ranked
    by_context: dict[object, Ranked]
    together: dict[int, Ranked]
    item_rows: dict[str, int]

    def recent(self, item_ids: Sequence[str] | None) -> list[int]:
        """A user's own earlier items that the catalogue has, newest first."""
        return [
            row for item in reversed(item_ids or ()) if (row := self.item_rows.get(item, -1)) >= 0
        ]

    def beside(self, item_ids: Sequence[str] | None) -> list[int]:
        """Items that went together with the user's earlier ones, the newest item's first."""
        return list(
            chain.from_iterable(self.together.get(row, ()) for row in self.recent(item_ids))
        )


def count_past(train: Log, context: str | None, recent: str | None) -> Past:
    """Count the training part; `context` and `recent` name request features (None: not used)."""
    rows = {item: row for row, item in enumerate(train.items["item_id"].to_list())}
    events = _counted_events(train, context)
    return Past(
        popular=_ranked(events)["item"].to_list(),
        by_context=_by_context(events) if context else {},
        together=_together(train, rows, recent) if recent else {},
        item_rows=rows,
    )


def _counted_events(train: Log, context: str | None) -> pl.DataFrame:
    """One row per first-stage positive: item row, context value, count."""
    first, *later = train.spec.stage_columns
    columns = ["request_id", *([context] if context else [])]
    return (
        train.events.filter(first)
        .join(train.items.select("item_id").with_row_index("item"), on="item_id")
        .join(train.requests.select(columns), on="request_id")
        .select(
            pl.col("item").cast(pl.Int64),
            pl.col(context).alias("context") if context else pl.lit(None).alias("context"),
            count=pl.sum_horizontal(pl.col(each).cast(pl.Int64) for each in later),
        )
    )


def _ranked(events: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Items, within each value of `keys`: most positives first, then most exposures."""
    counts = events.group_by(*keys, "item").agg(pl.col("count").sum(), exposed=pl.len())
    return counts.sort(["count", "exposed", "item"], descending=[True, True, False])


def _by_context(events: pl.DataFrame) -> dict[object, Ranked]:
    lists = _ranked(events, "context").group_by("context", maintain_order=True).agg("item")
    return dict(zip(lists["context"].to_list(), lists["item"].to_list(), strict=True))


def _together(train: Log, rows: dict[str, int], recent: str) -> dict[int, Ranked]:
    """Per item, those that met it most in a page view's earlier or positive items, by cosine."""
    second = train.spec.stage_columns[1]
    touched = pl.concat(
        [
            train.requests.select("request_id", item_id=pl.col(recent)).explode("item_id"),
            train.events.filter(second).select("request_id", "item_id"),
        ]
    ).unique()
    known = pl.DataFrame({"item_id": list(rows), "item": list(rows.values())})
    touched = touched.join(known, on="item_id").select("request_id", "item")
    met = touched.join(touched, on="request_id", suffix="_b").filter(
        pl.col("item") != pl.col("item_b")
    )
    size = touched.group_by("item").agg(size=pl.len())
    scored = (
        met.group_by("item", "item_b")
        .agg(pair=pl.len())
        .join(size, on="item")
        .join(size.rename({"item": "item_b", "size": "size_b"}), on="item_b")
        .with_columns(cosine=pl.col("pair") / (pl.col("size") * pl.col("size_b")).sqrt())
        .sort(["item", "cosine", "item_b"], descending=[False, True, False])
    )
    lists = scored.group_by("item", maintain_order=True).agg(pl.col("item_b").head(NEIGHBOURS))
    return dict(zip(lists["item"].to_list(), lists["item_b"].to_list(), strict=True))


@dataclass(frozen=True)
class Anchors:
    """The lists without a model, of given requests; a query is a row of them."""

    past: Past
    contexts_Q: Sequence[object] | None
    histories_Q: Sequence[Sequence[str] | None] | None
    length: int  # K

    @classmethod
    def of(
        cls, past: Past, requests: pl.DataFrame, context: str | None, recent: str | None, k: int
    ) -> Anchors:
        """`context` and `recent` as in `count_past`."""
        return cls(
            past,
            requests[context].to_list() if context else None,
            requests[recent].to_list() if recent else None,
            k,
        )

    def popular(self, _: int) -> Ranked:
        """The most popular items, whatever the query."""
        return self.past.popular[: self.length]

    def here(self, query: int) -> Ranked:
        """All items ever exposed in the query's context, the most popular first."""
        return self.past.by_context.get(self.contexts_Q[query], ()) if self.contexts_Q else ()

    def own(self, query: int) -> Ranked:
        """The user's earlier items, newest first."""
        return self.past.recent(self.histories_Q[query]) if self.histories_Q else ()

    def beside(self, query: int) -> Ranked:
        """What went together with the user's earlier items."""
        return self.past.beside(self.histories_Q[query]) if self.histories_Q else ()

    def chained(self, queries: int, *parts: Callable[[int], Ranked]) -> Rows:
        """[Q, K] lists, each part filling what those before leave empty; N where none is left."""
        absent = len(self.past.item_rows)
        return np.asarray(
            [
                chain_lists((part(query) for part in parts), self.length, absent)
                for query in range(queries)
            ],
            np.int64,
        )

    def lists(self, queries: int) -> dict[str, Rows]:
        """Every anchor that the log allows, by name."""
        chains: dict[str, tuple[Callable[[int], Ranked], ...]] = {"popularity": (self.popular,)}
        if self.contexts_Q:
            chains["popularity within context"] = (self.here, self.popular)
        if self.histories_Q:
            chains |= {
                "recent, then popularity": (self.own, self.here, self.popular),
                "co-occurrence, then popularity": (self.beside, self.here, self.popular),
                "recent, then co-occurrence, then popularity": (
                    *(self.own, self.beside),
                    *(self.here, self.popular),
                ),
            }
        return {name: self.chained(queries, *parts) for name, parts in chains.items()}
