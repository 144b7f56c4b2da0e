"""A tiny log of any declared cascade, and a configuration that trains on it in a second."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.log import write_log

from bundle.segments import Segments
from training.config import TrainConfig, load_config
from training.data import TrainingData, build_training_data
from training.logs.reader import read_log
from training.model import TwoTower

NAMES = ("exposure", "click", "conversion", "keep", "return")
TINY = (
    "model.dim=16",
    "model.hidden=[12]",
    "model.columns=6",
    "first.batch_size=64",
    "middle.batch_size=32",
    "middle.epochs=2",
    "middle.mixed_negatives=16",
    "last.batch_size=16",
    "last.epochs=2",
    "last.mixed_negatives=32",
    "evaluation.ks=[5, 10]",
)


@pytest.fixture(scope="session")
def make_log(tmp_path_factory) -> Callable[[int], Path]:
    """A log of the given number of stages: 40 items, 30 users, 120 requests of 8 candidates."""

    def make(stages: int) -> Path:
        directory = tmp_path_factory.mktemp("logs") / f"log{stages}"
        write_log(
            directory,
            [f"i{number:02d}" for number in range(40)],
            [f"u{number:02d}" for number in range(30)],
            requests=120,
            segments=Segments(NAMES[:stages], (1,) * stages),
            content_dim=4,
            users_table=True,
            rng=np.random.default_rng(5),
        )
        return directory

    return make


@pytest.fixture(scope="session")
def log(make_log) -> Path:
    """The paper's cascade of three."""
    return make_log(3)


@pytest.fixture(scope="session")
def data(log) -> TrainingData:
    """All of the tiny log as training data."""
    return build_training_data(read_log(log), min_count=1)


@pytest.fixture
def config() -> TrainConfig:
    """Small layers, few steps."""
    return load_config(assignments=TINY)


@pytest.fixture
def model(data, config) -> TwoTower:
    """A fresh model with one owner."""
    return TwoTower(data.schema, config.model, seed=3)
