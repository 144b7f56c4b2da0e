"""Runs the phases of a cascade, from wherever the last checkpoint stands.

Decisions
- A step is a function of (parameters, moments, step number), so `kill -9` at any moment and the
  same command again end in the same bits as an undisturbed run, on the same kind of CPU.
- One optimiser per phase: moments of one loss mean nothing to the next. No weight decay.
- What ends a phase (pruning, certifying) and its checkpoint are one step to the outside: a kill in
  between repeats them.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

from bundle.segments import Segments
from training.batches import Batch, BatchPlan, Draw
from training.cascade import Phase, phases
from training.certificate import certify
from training.checkpoint import (
    Arrays,
    Progress,
    load_checkpoint,
    restore_moments,
    save_checkpoint,
)
from training.config import TrainConfig
from training.data import TrainingData
from training.errors import ConfigError, DivergedError
from training.model import TwoTower
from training.objective import stage_losses
from training.ownership import freeze_all_but
from training.progress import ProgressReport
from training.pruning import prune

REPLAY_DRAW = 1000  # phases are numbered from 0; replay draws from a range of its own


class Trainer:
    """The state of one run: model, progress, checkpoint file."""

    def __init__(self, data: TrainingData, config: TrainConfig, checkpoint: Path) -> None:
        config.check_widths(len(data.stages))
        _require_positives(data)
        self.data, self.config, self.checkpoint = data, config, checkpoint
        self.sizes = config.segment_sizes(len(data.stages))
        self.model = TwoTower(data.schema, config.model, config.seed)
        self.progress = Progress()
        self._moments: Arrays = {}
        self.resumed = checkpoint.exists()
        if self.resumed:
            self.progress, self._moments = load_checkpoint(checkpoint, self.model)

    def run(self, report: ProgressReport) -> None:
        """Train all that is left of the cascade."""
        plan = phases(self.config, self.data.stages)
        while self.progress.phase < len(plan):
            phase = plan[self.progress.phase]
            self._train(phase, report)
            self._finish(phase)

    @property
    def segments(self) -> Segments:
        """Stages and the length each has got."""
        return Segments(self.data.stages, self.model.segment_sizes)

    def _train(self, phase: Phase, report: ProgressReport) -> None:
        batches, replayed = self._batches(phase)
        parameters = freeze_all_but(self.model, phase.trainable)
        optimiser = torch.optim.Adam(parameters, lr=phase.settings.learning_rate, fused=True)
        if self._moments:
            restore_moments(optimiser, self._moments)
            self._moments = {}
        report.start(phase, len(batches), self.progress.step, self.progress.before)
        while self.progress.step < len(batches):
            batch = batches[self.progress.step]
            again = replayed[self.progress.step % len(replayed)] if replayed is not None else None
            loss = self._step(phase, optimiser, batch, again)
            self.progress.step += 1
            report.step(loss, batch.size)
            if self.progress.step % self.config.checkpoint_every == 0:
                save_checkpoint(self.checkpoint, self.model, optimiser, self.progress)
        report.end()

    def _step(
        self,
        phase: Phase,
        optimiser: torch.optim.Adam,
        batch: Batch,
        replayed: Batch | None,
    ) -> float:
        margin = self.config.margin
        losses = stage_losses(self.model, batch, phase.stage, phase.widths, margin)
        loss = torch.stack(losses).sum()
        if replayed is not None:
            again = stage_losses(self.model, replayed, phase.stage - 1, phase.widths, margin)
            loss = loss + phase.settings.replay * again[0]
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch ships it untyped
        optimiser.step()
        return _finite(float(losses[0].detach()), phase, self.progress.step)

    def _batches(self, phase: Phase) -> tuple[BatchPlan, BatchPlan | None]:
        data, config, index = self.data, self.config, self.progress.phase
        draw = Draw(config.seed, index)
        batches = BatchPlan(data, phase.stage, phase.settings, config.sampling, draw, phase.share)
        if phase.stage == 0 or phase.settings.replay == 0:
            return batches, None
        draw = Draw(config.seed, REPLAY_DRAW + index)
        return batches, BatchPlan(data, phase.stage - 1, phase.settings, config.sampling, draw)

    def _finish(self, phase: Phase) -> None:
        if phase.prunes:
            prune(
                self.model,
                self.config.pruning,
                stages=len(self.data.stages),
                sizes=self.sizes,
                seed=self.config.seed,
            )
        certificates = self.progress.certificates
        if phase.certifies:
            certificates.append(certify(self.model, self.data, phase.stage, certificates))
        before = self.progress.before + self.progress.step
        self.progress = Progress(self.progress.phase + 1, 0, before, certificates)
        save_checkpoint(self.checkpoint, self.model, None, self.progress)


def _finite(loss: float, phase: Phase, step: int) -> float:
    if not math.isfinite(loss):
        raise DivergedError(
            f"{phase.name}: the loss is {loss} at step {step}; lower the learning rate "
            f"(now {phase.settings.learning_rate:g}) of that stage or of recovery"
        )
    return loss


def _require_positives(data: TrainingData) -> None:
    for stage, positives in zip(data.stages, data.positives, strict=True):
        if not len(positives):
            raise ConfigError(
                f"stage {stage!r} has no positives in the training part of the log: train on a "
                "longer log, split later (split.test_share), or leave the stage out of the cascade"
            )


def make_deterministic(threads: int) -> None:
    """Fix all that could let two runs of one configuration differ. Call before the first tensor."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True)
