"""A tiny log of any declared cascade, and a configuration that trains on it in a second."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.log import write_log
from support.tiny_training import SET_TINY, STAGES, TINY

from bundle.segments import Segments
from bundle.store import Bundle, read_bundle
from training.cli import main
from training.config import TrainConfig
from training.data import TrainingData, build_training_data
from training.logs.reader import read_log
from training.model import TwoTower
from training.presets import load_config


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
            segments=Segments(STAGES[:stages], (1,) * stages),
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


@pytest.fixture(scope="session")
def released(log, tmp_path_factory) -> Bundle:
    """One undisturbed run of the tiny log, by its command."""
    out = tmp_path_factory.mktemp("releases")
    assert main(["--log", str(log), "--out", str(out), *SET_TINY]) == 0
    (directory,) = (path for path in out.iterdir() if not path.name.startswith("."))
    return read_bundle(directory)


@pytest.fixture
def config() -> TrainConfig:
    """Small layers, few steps."""
    return load_config(assignments=TINY)


@pytest.fixture
def model(data, config) -> TwoTower:
    """A fresh model with one owner."""
    return TwoTower(data.schema, config.model, seed=3)
