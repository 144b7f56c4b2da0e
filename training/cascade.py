"""The cascade as data: which phases a run goes through, in which order.

    first:             train ─► prune (─► teach) ─► recover ─► certify
    middle:  (teach ─►) train ─► prune ─► recover ─► certify     (as many as the log declares)
    last:    (teach ─►) train ─► certify

Decisions
- A phase is training on one stage's loss; pruning and certifying are what happens when one ends.
- During `train` the last owner trains: all units that no earlier stage kept. After pruning that
  owner has split in two, and `recover` trains the stage's half; nested, both.
- `teach`, where stages are taught, trains whole models beside the cascade: the first goes on from
  the cascade's own exposure model before pruning, each further one from one of its own, fine-tuned
  for every later stage in turn. They are part of what CSMF costs, and are not served.
- Several teachers teach exposure recovery too, by their exposure models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from training.config import StageConfig, TrainConfig


@dataclass(frozen=True)
class CascadePhase:
    """One stretch of training on one stage's loss."""

    kind: Literal["teach", "train", "recover"]
    stage: int
    name: str
    settings: StageConfig
    share: float  # of the stage's positives, most recent first
    widths: tuple[int, ...]  # owners over which the loss is taken, once each
    trainable: range  # owners that learn
    prunes: bool  # the last owner splits when the phase ends
    certifies: bool  # the stage is final when the phase ends
    teacher: int = 0  # which of the teachers learns, in `teach`


def cascade(config: TrainConfig, stages: tuple[str, ...]) -> list[CascadePhase]:
    """All phases of a run, in order."""
    plan: list[CascadePhase] = []
    taught = any(config.stage(stage, len(stages)).taught > 0 for stage in range(1, len(stages)))
    further = range(1, config.teachers if taught else 1)  # each with an exposure model of its own
    for stage, name in enumerate(stages):
        settings, last = config.stage(stage, len(stages)), stage == len(stages) - 1
        if stage > 0 and settings.taught > 0:
            plan += [_teaching(stage, name, settings, each) for each in range(config.teachers)]
        owners = range(stage, stage + 1)
        plan.append(
            CascadePhase("train", stage, name, settings, 1.0, (stage + 1,), owners, not last, last)
        )
        if stage == 0:
            plan += [_pretraining(name, settings, teacher) for teacher in further]
            settings = _taught_exposures(settings) if further else settings
        if not last:
            plan.append(_recovery(config, stage, name, settings))
    return plan


def _pretraining(name: str, settings: StageConfig, teacher: int) -> CascadePhase:
    """Another teacher's exposure model."""
    title = f"{name} teacher {teacher + 1}"
    none = range(0)
    return CascadePhase("teach", 0, title, settings, 1.0, (1,), none, False, False, teacher)


def _taught_exposures(settings: StageConfig) -> StageConfig:
    """Recovery by teachers: the mean of several exposure models is better than exposures are."""
    return settings.model_copy(update={"taught": 1.0, "own": 0.0})


def _teaching(stage: int, name: str, settings: StageConfig, teacher: int) -> CascadePhase:
    """Fine-tuning of a teacher: a short phase that ends softly."""
    changed = {"epochs": settings.teacher_epochs, "decay": "linear", "replay": 0.0}
    return CascadePhase(
        kind="teach",
        stage=stage,
        name=f"{name} teacher {teacher + 1}",
        settings=settings.model_copy(update=changed),
        share=1.0,
        widths=(1,),
        trainable=range(1),
        prunes=False,
        certifies=False,
        teacher=teacher,
    )


def _recovery(config: TrainConfig, stage: int, name: str, settings: StageConfig) -> CascadePhase:
    """Passes over the most recent positives, at its own rate and without replay."""
    recovery = config.recovery
    changed = {
        "epochs": recovery.epochs if stage > 0 else 1,
        "learning_rate": recovery.learning_rate,
        "decay": recovery.decay,
        "replay": 0.0,
    }
    return CascadePhase(
        kind="recover",
        stage=stage,
        name=f"{name} recovery",
        settings=settings.model_copy(update=changed),
        share=recovery.share,
        widths=(stage + 1, stage + 2) if recovery.nested else (stage + 1,),
        trainable=range(stage, stage + (2 if recovery.nested else 1)),
        prunes=False,
        certifies=True,
    )
