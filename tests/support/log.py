"""The tables of a tiny log: valid, nested, in shuffled order where order must not matter."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bundle.segments import Segments

EVENT_COLUMNS = ("exposed", "clicked", "converted", "kept", "returned")
START_MS = 1_700_000_000_000  # 2023-11-14
PER_REQUEST = 8  # candidates of one request


def write_log(
    log: Path,
    item_ids: list[str],
    user_ids: list[str],
    *,
    requests: int,
    segments: Segments,
    content_dim: int,
    users_table: bool,
    rng: np.random.Generator,
) -> None:
    """Write items, requests, events, log.yaml and, if asked for, users into `log`."""
    log.mkdir(parents=True, exist_ok=True)
    _write_items(log, item_ids, content_dim, rng)
    _write_requests(log, user_ids, item_ids, requests, rng)
    _write_events(log, item_ids, requests, segments, rng)
    if users_table:
        ages = rng.integers(18, 80, len(user_ids)).tolist()
        pq.write_table(pa.table({"user_id": user_ids, "age": ages}), log / "users.parquet")
    _write_spec(log, segments, content_dim, users_table)


def _write_items(log: Path, item_ids: list[str], dim: int, rng: np.random.Generator) -> None:
    """Rows in shuffled order: nobody may rely on a sorted catalogue."""
    count = len(item_ids)
    centres_CD = rng.normal(size=(max(1, math.isqrt(count)), dim))
    content_ND = centres_CD[rng.integers(0, len(centres_CD), count)]
    content_ND += rng.normal(scale=0.4, size=(count, dim))
    flat = pa.array(content_ND.astype(np.float32).ravel())
    table = pa.table(
        {
            "item_id": item_ids,
            "brand": [f"brand{number}" for number in rng.integers(0, 20, count)],
            "price": np.exp(rng.normal(3, 1, count)),
            "content": pa.FixedSizeListArray.from_arrays(flat, dim).cast(pa.list_(pa.float32())),
        }
    )
    pq.write_table(table.take(rng.permutation(count)), log / "items.parquet", row_group_size=65_536)


def _write_requests(
    log: Path, user_ids: list[str], item_ids: list[str], requests: int, rng: np.random.Generator
) -> None:
    table = pa.table(
        {
            "request_id": [f"r{number:07d}" for number in range(requests)],
            "user_id": [user_ids[user] for user in rng.integers(0, len(user_ids), requests)],
            "ts": START_MS + np.sort(rng.integers(0, 7 * 86_400_000, requests)),
            "hour": rng.integers(0, 24, requests),
            "recent_items": [
                [item_ids[item] for item in rng.integers(0, len(item_ids), rng.integers(0, 7))]
                for _ in range(requests)
            ],
        }
    )
    pq.write_table(table, log / "requests.parquet")


def _write_events(
    log: Path, item_ids: list[str], requests: int, segments: Segments, rng: np.random.Generator
) -> None:
    count = min(PER_REQUEST, len(item_ids))
    picks = [rng.choice(len(item_ids), count, replace=False) for _ in range(requests)]
    depth_E = rng.geometric(0.5, requests * count) - 1  # how far down the cascade each pair went
    columns = {
        column: depth_E > stage for stage, column in enumerate(EVENT_COLUMNS[: len(segments.names)])
    }
    table = pa.table(
        {
            "request_id": [f"r{number:07d}" for number in range(requests) for _ in range(count)],
            "item_id": [item_ids[item] for pick in picks for item in pick],
            "position": pa.array(np.tile(np.arange(count, dtype=np.int32), requests)),
            **columns,
        }
    )
    pq.write_table(table, log / "events.parquet")


def _write_spec(log: Path, segments: Segments, content_dim: int, users_table: bool) -> None:
    stages = [
        f"  - {{stage: {stage}, column: {column}}}"
        for stage, column in zip(segments.names, EVENT_COLUMNS, strict=False)
    ]
    lines = [
        "version: 1",
        "name: tiny",
        "cascade:",
        *stages,
        "features:",
        "  user:",
        "    - {name: user_id, type: categorical, table: requests}",
        "    - {name: hour, type: categorical, table: requests}",
        "    - {name: recent_items, type: sequence, table: requests, vocabulary: item_id,"
        " max_length: 5}",
        *(["    - {name: age, type: numeric, table: users}"] if users_table else []),
        "  item:",
        "    - {name: item_id, type: categorical}",
        "    - {name: brand, type: categorical}",
        "    - {name: price, type: numeric}",
        f"    - {{name: content, type: vector, dim: {content_dim}}}",
    ]
    (log / "log.yaml").write_text("\n".join(lines) + "\n")
