"""Trains another library's two-tower on one of our logs, a few steps whenever asked.

    PEER_PYTHON training/paper/speed/peer.py dssm|dssm-lean|replay LOG BATCH

Decisions
- It runs in the peers' own environment, so it imports nothing of ours and reads the log's parquet
  itself: docs/results/paper/speed.md says how that environment is made.
- Dims, widths, batch and table columns are ours.
- torch-rechub takes every feature of ours. It is measured as it ships, and lean too, since its
  loader and its in-batch sampler are Python loops: its model and optimiser in a plain loop.
- RePlay's query tower is a transformer over a sequence of items and takes no user features, so it
  gets what it is made for: a user's exposures in order, every position an example; items have their
  category and price. Its model and optimiser are in a plain loop too.
- One line of JSON on stdout for each number of steps on stdin.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

COLUMNS, HIDDEN, DIM, RECENT = 32, 256, 64, 20
Run = Callable[[int], int]  # steps → examples seen
Array = np.ndarray[Any, np.dtype[Any]]
Arrays = dict[str, Array]


def read_exposures(log: Path) -> pl.DataFrame:
    """Every exposure with the features of its request, user and item, oldest first."""
    requests = pl.read_parquet(log / "requests.parquet").with_row_index("request")
    events = pl.read_parquet(log / "events.parquet", columns=["request_id", "item_id", "exposed"])
    users = pl.read_parquet(log / "users.parquet")
    items = pl.read_parquet(log / "items.parquet")
    return (
        events.filter("exposed")
        .join(requests.join(users, on="user_id"), on="request_id")
        .join(items, on="item_id")
        .sort("ts")
    )


def ids(column: pl.Series) -> tuple[Array, int]:
    """Categories numbered from 1, and how many rows their table needs."""
    numbers = column.cast(pl.Categorical).to_physical().to_numpy().astype(np.int64) + 1
    return numbers, int(numbers.max()) + 1


def recent_ids(frame: pl.DataFrame) -> Array:
    """The user's recent items, as the ids of `item_id`, padded with 0: [rows, RECENT]."""
    known, _ = ids(frame["item_id"])
    number = dict(zip(frame["item_id"].to_list(), known.tolist(), strict=True))
    requests = frame.unique("request")
    padded = np.zeros((1 + frame["request"].to_numpy().max(), RECENT), np.int64)
    lists = zip(requests["request"].to_list(), requests["recent_items"].to_list(), strict=True)
    for request, recent in lists:
        numbers = [number.get(item, 0) for item in recent[-RECENT:]]
        padded[request, : len(numbers)] = numbers
    of_exposures: Array = padded[frame["request"].to_numpy()]
    return of_exposures


def dssm(log: Path, batch: int, *, lean: bool = False) -> Run:
    """torch-rechub's DSSM with in-batch negatives."""
    from torch_rechub.basic.features import DenseFeature, SequenceFeature, SparseFeature
    from torch_rechub.models.matching import DSSM
    from torch_rechub.trainers import MatchTrainer

    frame = read_exposures(log)
    sparse = {name: ids(frame[name].cast(pl.String)) for name in CATEGORIES}
    values: Arrays = {name: column for name, (column, _) in sparse.items()}
    values["recent_items"] = recent_ids(frame)
    values |= {name: standardised(frame[name]) for name in ("age", "price")}
    content = frame["content"].explode().to_numpy().astype(np.float32)
    values["content"] = content.reshape(len(frame), -1)
    table = {name: SparseFeature(name, rows, COLUMNS) for name, (_, rows) in sparse.items()}
    recent = SequenceFeature("recent_items", sparse["item_id"][1], COLUMNS, padding_idx=0)
    user = [table[name] for name in ("user_id", "hour", "weekday", "segment")]
    user += [recent, DenseFeature("age")]
    item = [table["item_id"], table["category"], DenseFeature("price")]
    item += [DenseFeature("content", values["content"].shape[1])]
    tower = {"dims": [HIDDEN, DIM]}
    model = DSSM(user, item, user_params=tower, item_params=tower)
    trainer = MatchTrainer(model, mode=2, in_batch_neg=True, optimizer_params={"lr": 1e-3})
    return lean_loop(trainer, values, batch) if lean else its_own_loop(trainer, values, batch)


def its_own_loop(trainer: Any, values: Arrays, batch: int) -> Run:  # noqa: ANN401  # of another library
    """The library's trainer over the library's loader."""
    from torch_rechub.utils.data import DataGenerator

    data, age = DataGenerator(values, np.ones(len(values["age"]))), values["age"]
    loader, *_ = data.generate_dataloader(values, age, values, age, batch_size=batch)

    def run(steps: int) -> int:
        trainer.train_one_epoch(islice(loader, steps))
        return steps * batch

    return run


def lean_loop(trainer: Any, values: Arrays, batch: int) -> Run:  # noqa: ANN401  # of another library
    """The library's model and optimiser, batches cut from arrays, softmax over the batch."""
    tensors = {name: torch.from_numpy(column) for name, column in values.items()}
    rng, target = np.random.default_rng(0), torch.arange(batch)

    def run(steps: int) -> int:
        for _ in range(steps):
            rows = torch.from_numpy(rng.integers(len(tensors["age"]), size=batch))
            inputs = {name: column[rows] for name, column in tensors.items()}
            users, items = trainer.model.user_tower(inputs), trainer.model.item_tower(inputs)
            loss = torch.nn.functional.cross_entropy(users @ items.T, target)
            trainer.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch ships it untyped
            trainer.optimizer.step()
        return steps * batch

    return run


CATEGORIES = ("user_id", "hour", "weekday", "segment", "item_id", "category")


def standardised(column: pl.Series) -> Array:
    """Mean 0, deviation 1."""
    numbers = column.to_numpy().astype(np.float32)
    scaled: Array = (numbers - numbers.mean()) / numbers.std()
    return scaled


def replay(log: Path, batch: int) -> Run:
    """RePlay's TwoTower: SasRec over a user's exposures, 512 shared negatives a step."""
    from replay.nn.lightning import LightningModule
    from replay.nn.loss import CESampled
    from replay.nn.sequential.twotower import FeaturesReader, TwoTower

    frame = read_exposures(log)
    item, rows = ids(frame["item_id"])
    category, groups = ids(frame["category"])
    price = standardised(frame["price"])
    columns = {"item_id": item, "category": category, "price": price}
    catalogue = pl.DataFrame(columns).unique("item_id").sort("item_id")
    blank = pl.DataFrame({"item_id": [0], "category": [0], "price": [0.0]}).cast(catalogue.schema)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "items.parquet")
        pl.concat([blank, catalogue]).write_parquet(path)
        schema = replay_schema(rows, groups)
        reader = FeaturesReader(schema, {name: {} for name in columns}, str(path))
    model = TwoTower.from_params(schema, reader, embedding_dim=DIM, max_sequence_length=RECENT)
    model.loss = CESampled(ignore_index=0)
    model.loss.logits_callback = model.get_logits
    module = LightningModule(model)
    optimizer = module.configure_optimizers()
    batches = windows(columns, frame["user_id"], batch // RECENT, rows)
    module.train()

    def run(steps: int) -> int:
        for sequences in islice(batches, steps):
            loss = module(sequences)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return steps * (batch // RECENT) * RECENT

    return run


def replay_schema(items: int, categories: int) -> Any:  # noqa: ANN401  # of another library
    """The features of a sequence of items; 0 pads."""
    from replay.data import FeatureHint, FeatureSource, FeatureType
    from replay.data.nn import TensorFeatureInfo, TensorFeatureSource, TensorSchema

    def feature(name: str, **rest: Any) -> Any:  # noqa: ANN401  # of another library
        source = TensorFeatureSource(FeatureSource.ITEM_FEATURES, name)
        return TensorFeatureInfo(
            name, is_seq=True, feature_sources=[source], embedding_dim=DIM, **rest
        )

    kind = FeatureType.CATEGORICAL
    return TensorSchema(
        [
            feature(
                "item_id", feature_type=kind, feature_hint=FeatureHint.ITEM_ID, cardinality=items
            ),
            feature("category", feature_type=kind, cardinality=categories),
            feature("price", feature_type=FeatureType.NUMERICAL, tensor_dim=1),
        ]
    )


def windows(
    columns: Arrays, users: pl.Series, sequences: int, items: int
) -> Iterator[dict[str, Any]]:
    """Batches of stretches of one user's exposures, the next item of each place its label."""
    order = np.argsort(users.cast(pl.Categorical).to_physical().to_numpy(), kind="stable")
    sorted_columns = {name: torch.from_numpy(column[order]) for name, column in columns.items()}
    rng = np.random.default_rng(0)
    while True:
        start = torch.from_numpy(rng.integers(len(order) - RECENT - 1, size=(sequences, 1)))
        place = start + torch.arange(RECENT)
        known = torch.ones(place.shape, dtype=torch.bool)
        yield {
            "feature_tensors": {name: column[place] for name, column in sorted_columns.items()},
            "padding_mask": known,
            "positive_labels": sorted_columns["item_id"][place + 1].unsqueeze(-1),
            "negative_labels": torch.from_numpy(rng.integers(1, items, size=512)),
            "target_padding_mask": known.unsqueeze(-1),
        }


def main() -> None:
    """Read, say how long that took, then train as many steps as each line asks for."""
    name, log, batch = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    began = time.process_time()
    peers: dict[str, Callable[[Path, int], Run]] = {
        "dssm": dssm,
        "dssm-lean": partial(dssm, lean=True),
        "replay": replay,
    }
    run = peers[name](log, batch)
    say({"read_seconds": time.process_time() - began})
    for line in sys.stdin:
        began = time.process_time()
        examples = run(int(line))
        say({"examples": examples, "seconds": time.process_time() - began})


def say(found: dict[str, float]) -> None:
    """Answer with one line."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
