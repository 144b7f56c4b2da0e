"""Which class trains which method; the settings that make a method are in `training.presets`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from training.config import TrainConfig
from training.data import TrainingData
from training.methods.csmf import Csmf
from training.methods.dmmp import Dmmp
from training.methods.dmtl import Dmtl
from training.methods.joint import Joint
from training.methods.method import Method
from training.methods.mix import Mix
from training.methods.moppr import Moppr
from training.methods.mvke import Mvke
from training.methods.objectives import judged_stages
from training.methods.separate import Separate

_CLASSES: Mapping[str, Callable[[TrainingData, TrainConfig], Method]] = {
    "csmf": Csmf,
    "joint": Joint,
    "separate": Separate,
    "mix": Mix,
    "moppr": Moppr,
    "dmtl": Dmtl,
    "dmmp": Dmmp,
    "mvke": Mvke,
}


def build_method(data: TrainingData, config: TrainConfig) -> Method:
    """The configured method, untrained."""
    return _CLASSES[config.method.kind](data, config)


def served_names(config: TrainConfig, stages: tuple[str, ...]) -> tuple[str, ...]:
    """The names under which a method serves its models; "" is the only model of a method."""
    match config.method.kind:
        case "separate":
            return stages
        case "dmmp":
            return tuple(stages[stage] for stage in judged_stages(len(stages)))
        case _:
            return ("",)
