"""Every setting of a training run: typed, documented, closed.

Decisions
- One tree of pydantic models. A misspelt key is an error that lists the keys there are.
- The cascade is the log's, so stages are configured by role: `first`, `middle` (any number of
  stages) and `last`.
- The configuration is part of the run's identity, so anything that can change a bit of the result
  is in here, the number of threads too.

Use: `TrainConfig()` is the preset `plain`; see `training.presets` for files and assignments.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from training.errors import ConfigError
from training.method_config import (
    MarginConfig,
    MethodConfig,
    PruningConfig,
    RecoveryConfig,
    Settings,
)


class ModelConfig(Settings):
    """Both towers."""

    dim: int = Field(
        default=64, ge=2, le=1024, description="length of the served vector, all segments"
    )
    segments: Literal["even", "cpp"] | list[PositiveInt] = Field(
        default="even",
        description="length of each stage's segment: `even` (in steps of 4, upstream first: "
        "24/20/20 of 64), `cpp` (what pruning leaves), or a list that sums to dim",
    )
    hidden: list[PositiveInt] = Field(
        default=[256], description="units of each hidden layer, both towers"
    )
    columns: int = Field(
        default=32, ge=1, description="embedding columns per categorical or sequence"
    )
    normalise: Literal["none", "segment"] = Field(
        default="none",
        description="raw dot products, or unit length and one learnt scale per segment",
    )
    initial_log_scale: float = Field(
        default=2.0, description="first log scale of a segment, with normalise=segment"
    )


class SplitConfig(Settings):
    """What is learnt from and what is judged on."""

    test_share: float = Field(
        default=0.2, gt=0, lt=1, description="share of the requests, the latest ones"
    )
    min_count: int = Field(
        default=2, ge=1, description="times a category must occur in the training part to get a row"
    )


class StageConfig(Settings):
    """One stage of the cascade."""

    epochs: int = Field(default=1, ge=1, description="passes over the stage's positives")
    batch_size: int = Field(default=512, ge=2, description="positives per step")
    learning_rate: float = Field(
        default=1e-3, gt=0, description="of Adam; a new optimiser per phase"
    )
    mixed_negatives: int = Field(
        default=0,
        ge=0,
        description="extra negatives per step, drawn from the first stage's positives",
    )
    request_negatives: int = Field(
        default=0, ge=0, description="unexposed candidates of the same request, per positive"
    )
    decay: Literal["none", "linear"] = Field(
        default="none", description="learning rate over a phase: constant, or linearly to zero"
    )
    replay: float = Field(
        default=0.0,
        ge=0,
        description="weight of the previous stage's loss on a batch of its positives",
    )
    taught: float = Field(
        default=0.0,
        ge=0,
        description="csmf, youtubednn-mix: weight of distillation from models fine-tuned for this "
        "stage (mix: on the same union); 0 trains no such teacher (not in the paper)",
    )
    own: float = Field(
        default=1.0,
        ge=0,
        description="weight of the stage's own positives where it is taught; 0 leaves the "
        "teacher's lists alone, which many epochs do not overfit",
    )
    replay_taught: float = Field(
        default=0.0,
        ge=0,
        description="csmf: weight of the teacher's lists on the replayed batches, whose users are "
        "more than the stage's own",
    )
    teacher_epochs: PositiveInt = Field(
        default=2, description="passes over the stage's positives to fine-tune its teacher"
    )


class SamplingConfig(Settings):
    """What all sampled-softmax losses share."""

    logq: bool = Field(default=True, description="correct each negative by its log expected count")
    mask_known: bool = Field(
        default=True,
        description="drop negatives that are the positive's item, or another positive of its "
        "request in the batch",
    )
    unknown_rate: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="share of categories hidden in training, to learn `unknown`",
    )


class EvaluationConfig(Settings):
    """How the result is judged on the later part of the log."""

    ks: list[PositiveInt] = Field(
        default=[50, 100, 500],
        min_length=1,
        description="list lengths; weights are chosen by recall at the first",
    )
    max_requests: PositiveInt = Field(
        default=2000,
        description="requests judged per side and stage, an even sample of those with a positive",
    )
    validation_share: float = Field(
        default=0.33,
        ge=0,
        lt=1,
        description="share of the later part, its first, on which weights are chosen; the rest is "
        "reported; 0 reports all and recommends nothing",
    )


class TrainConfig(Settings):
    """A whole run."""

    seed: int = Field(
        default=0, ge=0, lt=2**32, description="of initial values, batches and negatives"
    )
    threads: int = Field(
        default=1,
        ge=1,
        description="torch threads; another number rounds differently, and at these sizes a second "
        "one gains a quarter on an idle machine and loses much on a busy one",
    )
    checkpoint_every: int = Field(default=500, ge=1, description="steps between two checkpoints")
    weights: dict[str, float] | None = Field(
        default=None,
        description="default weights by stage; null: <1, 1.8, 1.2> for three stages, else 1s",
    )
    method: MethodConfig = MethodConfig()
    model: ModelConfig = ModelConfig()
    split: SplitConfig = SplitConfig()
    first: StageConfig = StageConfig(epochs=3, request_negatives=1)
    middle: StageConfig = StageConfig(epochs=3, mixed_negatives=512)
    last: StageConfig = StageConfig(epochs=6, batch_size=256, mixed_negatives=2048, replay=0.1)
    teachers: PositiveInt = Field(
        default=1,
        description="models whose mean score teaches; each beyond the first starts from an "
        "exposure model of its own, which then teach exposures too",
    )
    margin: MarginConfig = MarginConfig()
    pruning: PruningConfig = PruningConfig()
    recovery: RecoveryConfig = RecoveryConfig()
    sampling: SamplingConfig = SamplingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    def stage(self, position: int, stages: int) -> StageConfig:
        """Settings of the stage at `position` (from 0) of a cascade of `stages`."""
        if position == 0:
            return self.first
        return self.last if position == stages - 1 else self.middle

    def segment_sizes(self, stages: int) -> tuple[int, ...] | None:
        """Length of each stage's segment, or None if pruning decides. Raises ConfigError."""
        if self.model.segments == "cpp":
            return None
        if self.model.segments == "even":
            return even_sizes(self.model.dim, stages)
        sizes = tuple(self.model.segments)
        if len(sizes) != stages or sum(sizes) != self.model.dim:
            raise ConfigError(
                f"model.segments: expected {stages} lengths, one per stage of the log's cascade, "
                f"that sum to model.dim = {self.model.dim}; got {list(sizes)}"
            )
        return sizes

    def check_widths(self, stages: int) -> None:
        """Raise ConfigError if a layer has fewer units than the cascade has stages."""
        widths = {"model.dim": self.model.dim, "model.columns": self.model.columns}
        widths |= {f"model.hidden[{i}]": units for i, units in enumerate(self.model.hidden)}
        for field, units in widths.items():
            if units < stages:
                raise ConfigError(
                    f"{field}: expected at least {stages}, a unit per stage of the log's cascade; "
                    f"got {units}"
                )

    @model_validator(mode="after")
    def _ks_increase(self) -> Self:
        if self.evaluation.ks != sorted(set(self.evaluation.ks)):
            raise ValueError(f"evaluation.ks must increase: {self.evaluation.ks}")
        return self

    @model_validator(mode="after")
    def _lessons_have_teachers(self) -> Self:
        if self.first.taught > 0:
            raise ValueError("first.taught must be 0: there is no model to fine-tune before it")
        for name, stage in (("middle", self.middle), ("last", self.last)):
            if stage.taught == 0 and (stage.own == 0 or stage.replay_taught > 0):
                raise ValueError(
                    f"{name}: own=0 and replay_taught need teachers; set {name}.taught above 0, or "
                    f"{name}.own above 0 and {name}.replay_taught to 0"
                )
            if stage.replay == 0 and stage.replay_taught > 0:
                raise ValueError(
                    f"{name}.replay_taught teaches on replayed batches; "
                    f"set {name}.replay above 0, or {name}.replay_taught to 0"
                )
        return self


def even_sizes(dim: int, stages: int) -> tuple[int, ...]:
    """Split `dim` evenly in steps of 4 (a SIMD register), what is left over going upstream."""
    step = 4 if dim % 4 == 0 and dim >= 4 * stages else 1
    each, over = divmod(dim // step, stages)
    return tuple(step * (each + (place < over)) for place in range(stages))
