"""Settings of the method: what is trained, how the cascade prunes, recovers and weighs.

Decisions
- Apart from the settings that any training has (`training.config`), whose tree they are part of.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class Settings(BaseModel):
    """One level of the tree: frozen, strict, closed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class MethodConfig(Settings):
    """What is trained: CSMF or one of its rivals. `csmf-train --method NAME` sets all of these."""

    name: str = Field(default="csmf", description="what the run and its tables call it")
    kind: Literal["csmf", "joint", "separate", "mix", "moppr", "dmtl", "mvke", "dmmp"] = Field(
        default="csmf",
        description="`csmf`; `joint`: its segments without the cascade; `separate`: a model per "
        "objective; `mix`, `moppr`, `dmtl`: one vector for all objectives; `mvke`: one per kernel; "
        "`dmmp`: a user vector per objective",
    )
    start: Literal["exposure", "scratch"] = Field(
        default="exposure", description="what rivals start from: the exposure model, or nothing"
    )
    last_weight: PositiveInt = Field(
        default=1, description="how many times the last stage counts, where stages train together"
    )
    tune: Literal["all", "lora", "bias"] = Field(
        default="all", description="separate: what of the exposure model may change"
    )
    chain: bool = Field(
        default=True, description="separate: go on from the stage before, not from exposures"
    )
    rank: PositiveInt = Field(default=8, description="lora: rank of the products")
    kernels: PositiveInt = Field(default=4, description="mvke: virtual kernels, and served vectors")
    experts: PositiveInt = Field(
        default=1, description="dmtl, dmmp: experts per objective, and as many shared ones"
    )
    hard: float = Field(
        default=1.0, ge=0, description="dmtl, dmmp: weight of the student's own loss"
    )
    soft: float = Field(default=1.0, ge=0, description="dmtl, dmmp: weight of distillation")


class MarginConfig(Settings):
    """Adaptive margin loss (Eq. 6 and 7), from the second stage on."""

    form: Literal["none", "literal", "additive", "signed"] = Field(
        default="literal",
        description="how the margin m enters a negative's logit: -m as printed, +m, or -m where "
        "upstream agrees and +m where it does not; none turns it off",
    )
    eta: float = Field(default=1.8, ge=0, description="η: how much a conflicting pair weighs")
    sigma: float = Field(
        default=0.0, ge=0, description="σ: margin of a pair upstream is indifferent to"
    )


class PruningConfig(Settings):
    """Cumulative percentile-based pruning (CPP) between two stages."""

    form: Literal["percentile", "ratio"] = Field(
        default="percentile",
        description="what τ is a share of: a layer's information (CPP), or its units (a fixed "
        "ratio, as in PackNet)",
    )
    tau: float = Field(
        default=0.5, gt=0, lt=1, description="τ: share of a layer's information to prune"
    )
    tau_tables: float = Field(
        default=0.25, gt=0, lt=1, description="τ of the columns of embedding tables"
    )
    tau_mode: Literal["pruned", "retained"] = Field(
        default="pruned",
        description="what τ is a share of: information pruned, or information retained",
    )
    fresh_units: int = Field(
        default=0,
        ge=0,
        description="new units that each later stage gets in each hidden layer, beside those "
        "freed; the served vector stays as long (not in the paper)",
    )
    fresh_columns: int = Field(
        default=0,
        ge=0,
        description="new columns that each later stage gets in each table, beside those freed; "
        "they start as copies of the first stage's (not in the paper)",
    )
    reinitialise: bool = Field(
        default=False,
        description="draw freed units afresh instead of keeping their values (warm start)",
    )


class RecoveryConfig(Settings):
    """Accuracy recovery after each pruning, on the stage's own retained units."""

    share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="share of the stage's positives, most recent first; 0 = none",
    )
    epochs: PositiveInt = Field(default=1, description="passes over that share; of exposures one")
    learning_rate: float = Field(default=5e-4, gt=0, description="of Adam")
    decay: Literal["none", "linear"] = Field(
        default="none", description="learning rate over the phase: constant, or linearly to zero"
    )
    nested: bool = Field(
        default=True,
        description="add the same loss on all dimensions, so that freed units keep in step "
        "(not in the paper)",
    )
