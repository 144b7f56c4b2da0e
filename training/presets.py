"""Where a configuration comes from: a preset, a method over it, a YAML file, `key.path=value`.

Decisions
- Three presets. `default` is what did best: later stages have teachers, and units of their own;
  `plain` is the paper's cascade without them, in a fifth to three fifths of the time; `paper` is
  the paper's settings where it states them and its plain reading where it does not. docs/paper.md
  tells them apart.
- Rivals have no use for CSMF's teachers: unless told, they take `plain`.
- A method is a set of settings too: what it is, and how it was found to do well from the exposure
  model. The rivals' names are those of the paper's tables.
- The merged tree is validated once, strictly, so that a wrong value is named whatever it came from.

Use: `load_config("default", Path("run.yaml"), ["seed=1", "last.epochs=4"], method="mvke")`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from training.config import TrainConfig
from training.errors import ConfigError

Json = dict[str, Any]

_PAPER_STAGE: Json = {"epochs": 1, "batch_size": 256, "learning_rate": 1e-4, "mixed_negatives": 0}
PRESETS: MappingProxyType[str, Json] = MappingProxyType(
    {
        "default": {
            "model": {"hidden": [512], "columns": 48},
            "teachers": 2,
            "margin": {"form": "none"},
            "middle": {"epochs": 2, "mixed_negatives": 2048, "taught": 1.0, "own": 0.0},
            "last": {
                "epochs": 3,
                "decay": "linear",
                "mixed_negatives": 512,
                "replay": 0.3,
                "taught": 1.0,
                "own": 0.2,
                "replay_taught": 0.5,
                "teacher_epochs": 3,
            },
            "recovery": {"epochs": 4, "learning_rate": 1e-3, "decay": "linear"},
            "pruning": {"tau": 0.25, "tau_tables": 0.1, "fresh_units": 256, "fresh_columns": 24},
        },
        "plain": {},  # TrainConfig's own values
        "paper": {
            "model": {"segments": "cpp"},
            "first": {**_PAPER_STAGE, "request_negatives": 1},
            "middle": _PAPER_STAGE,
            "last": {**_PAPER_STAGE, "replay": 0.0},
            "pruning": {"tau": 0.75},
            "recovery": {"share": 0.1, "learning_rate": 1e-4, "nested": False},
        },
    }
)

_WITH_PAGE: Json = {"request_negatives": 4}
METHODS: MappingProxyType[str, Json] = MappingProxyType(
    {
        "csmf": {},
        "csmf-no-aml": {"margin": {"form": "none"}},
        "csmf-no-recovery": {"recovery": {"share": 0.0}},
        "packnet": {"pruning": {"form": "ratio", "tau": 0.75, "tau_tables": 0.25}},
        "joint": {"method": {"kind": "joint"}},
        "youtubednn-sep": {"method": {"kind": "separate", "start": "scratch"}},
        "youtubednn-mix": {
            "method": {"kind": "mix", "last_weight": 5},
            "middle": {"learning_rate": 5e-4},
        },
        "moppr": {
            "method": {"kind": "moppr", "last_weight": 5},
            "middle": _WITH_PAGE,
            "last": {**_WITH_PAGE, "replay": 0.0},
        },
        "dmtl": {
            "method": {"kind": "dmtl"},
            "middle": {"request_negatives": 1, "learning_rate": 5e-4},
            "last": {"request_negatives": 1, "replay": 0.0},
        },
        "mvke": {
            "method": {"kind": "mvke"},
            "middle": {"learning_rate": 5e-4},
            "last": {"replay": 0.0},
        },
        "dmmp": {
            "method": {"kind": "dmmp"},
            "middle": {"request_negatives": 1, "learning_rate": 5e-4},
            "last": {"request_negatives": 1, "replay": 0.0},
        },
        "full-ft": {"method": {"kind": "separate"}},
        "lora": {"method": {"kind": "separate", "tune": "lora"}},
        "bitfit": {"method": {"kind": "separate", "tune": "bias"}},
    }
)


def load_config(
    preset: str | None = None,
    file: Path | None = None,
    assignments: Sequence[str] = (),
    *,
    method: str = "csmf",
) -> TrainConfig:
    """The preset, overlaid by a method, a YAML file and `key.path=value`. Raises ConfigError.

    Without a preset it is `default` for CSMF and its ablations, `plain` for rivals.
    """
    _require("method", method, METHODS)
    if preset is None:
        preset = "plain" if "method" in METHODS[method] else "default"  # rivals say what they are
    _require("preset", preset, PRESETS)
    tree = _overlaid(TrainConfig().model_dump(), PRESETS[preset])
    tree = _overlaid(_overlaid(tree, METHODS[method]), {"method": {"name": method}})
    if file is not None:
        tree = _overlaid(tree, _read_yaml(file))
    for assignment in assignments:
        tree = _overlaid(tree, _parse_assignment(assignment))
    try:
        return TrainConfig.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        raise ConfigError(_sentence(error)) from None


def describe_config(config: TrainConfig) -> Iterator[tuple[str, Any, str]]:
    """(key path, value, meaning) of each setting, in order."""
    yield from _describe(config, "")


def _require(option: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise ConfigError(f"{option}: expected one of {sorted(known)}, got {value!r}")


def _describe(settings: BaseModel, prefix: str) -> Iterator[tuple[str, Any, str]]:
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from _describe(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value, field.description or ""


def _overlaid(base: Json, overlay: Json) -> Json:
    merged = dict(base)
    for key, value in overlay.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict) and key != "weights":
            merged[key] = _overlaid(below, value)
        else:
            merged[key] = value
    return merged


class _Loader(yaml.SafeLoader):
    """Reads `1e-3` as a number, which YAML 1.1 takes for text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), "-+0123456789"
)


def _read_yaml(file: Path) -> Json:
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), _Loader)  # noqa: S506 (a SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: expected a YAML file; {' '.join(str(error).split())}") from None
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{file}: expected keys and values, got {type(content).__name__}")
    return content or {}


def _parse_assignment(assignment: str) -> Json:
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise ConfigError(f"--set: expected key.path=value, got {assignment!r}")
    try:
        value: Any = yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError:
        raise ConfigError(f"--set {path}: {text!r} is not a YAML value") from None
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        parent = ".".join(str(part) for part in first["loc"][:-1])
        known = [key for key, _, _ in describe_config(TrainConfig()) if key.startswith(parent)]
        return f"{path}: no such setting; there are {', '.join(known)}"
    said = first["msg"].removeprefix("Value error, ")
    return f"{path}: {said}, got {first['input']!r:.120}" if path else said  # else all of it
