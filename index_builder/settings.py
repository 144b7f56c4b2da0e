"""Settings of a build. Loads nothing heavy, so that the command can read it before FAISS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Wanted = Literal["auto", "int4", "fp16", "int8"]  # codes of an inverted file


@dataclass(frozen=True)
class BuildSettings:
    """What `csmf-index` can be told; see `csmf-index --help`."""

    target_recall: float = 0.95
    max_effort: float = 0.25
    exact_below: int = 20_000
    users: int = 512
    seed: int = 0
    changes_after: int = 0
    attributes: tuple[str, ...] = ()
    codes: Wanted = "auto"
