"""Runs the phases of a method, from wherever the last checkpoint stands.

Decisions
- A step is a function of (parameters, moments, step number), so `kill -9` at any moment and the
  same command again end in the same bits as an undisturbed run, on the same kind of CPU.
- One optimiser per phase: moments of one loss mean nothing to the next. No weight decay.
- What ends a phase (pruning, certifying, copying) and its checkpoint are one step to the outside: a
  kill in between repeats them.
- A trained exposure model is kept in a file of its own: a run that would train the same one, bit
  for bit, whatever its method, reads it instead. So do runs whose teachers start from it. Its cost
  counts in all of them.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from training.checkpoint import (
    Arrays,
    PhaseCost,
    Progress,
    load_checkpoint,
    load_pretrained,
    restore_moments,
    save_checkpoint,
    save_pretrained,
)
from training.errors import DivergedError
from training.methods.method import Method
from training.phase import Phase, Steps
from training.progress import ProgressReport


class Trainer:
    """The state of one run: method, progress, checkpoint file."""

    def __init__(
        self,
        method: Method,
        checkpoint: Path,
        *,
        every: int,
        pretrained: Callable[[int], Path] | None = None,
    ) -> None:
        """A checkpoint `every` so many steps; `pretrained(seed)` is an exposure model's file."""
        self.method, self.checkpoint = method, checkpoint
        self.every, self.pretrained = every, pretrained
        self.progress = Progress()
        self._moments: Arrays = {}
        self.resumed = checkpoint.exists()
        if self.resumed:
            self.progress, self._moments = load_checkpoint(checkpoint, method)

    def run(self, report: ProgressReport) -> None:
        """Train all that is left."""
        plan = self.method.phases()
        while self.progress.phase < len(plan):
            phase = plan[self.progress.phase]
            if not self._read_pretrained(phase):
                self._train(phase, report)
                self._keep_pretrained(phase)
            phase.finish()
            self.progress.next_phase()
            save_checkpoint(self.checkpoint, self.method, None, self.progress)

    def _train(self, phase: Phase, report: ProgressReport) -> None:
        steps = phase.start()
        optimiser = torch.optim.Adam(steps.parameters, lr=phase.learning_rate, fused=True)
        if self._moments:
            restore_moments(optimiser, self._moments)
            self._moments = {}
        if self.progress.step == 0:
            trainable = sum(parameter.numel() for parameter in steps.parameters)
            self.progress.costs.append(PhaseCost(phase.name, trainable))
        cost, began = self.progress.costs[-1], time.monotonic()
        earlier = cost.seconds
        report.start(phase.name, steps.count, self.progress.step, self.progress.before)
        while self.progress.step < steps.count:
            loss, examples = self._step(phase, steps, optimiser)
            cost.count(examples, earlier + time.monotonic() - began)
            report.step(loss, examples)
            if self.progress.step % self.every == 0:
                save_checkpoint(self.checkpoint, self.method, optimiser, self.progress)
        report.end()

    def _step(self, phase: Phase, steps: Steps, optimiser: torch.optim.Adam) -> tuple[float, int]:
        loss = steps.loss(self.progress.step)
        for group in optimiser.param_groups:
            group["lr"] = phase.rate(self.progress.step, steps.count)
        optimiser.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]  # torch ships it untyped
        optimiser.step()
        self.progress.step += 1
        return _finite(float(loss.shown.detach()), phase, self.progress.step - 1), loss.examples

    def _read_pretrained(self, phase: Phase) -> bool:
        """Take an exposure model from its file, if this phase would train it from the start."""
        if phase.pretrains is None or self.pretrained is None or self.progress.step > 0:
            return False
        file = self.pretrained(phase.pretrains.seed)
        if not file.exists():
            return False
        cost = replace(load_pretrained(file, phase.pretrains.network), phase=phase.name)
        self.progress.costs.append(cost)
        self.progress.step = cost.steps
        return True

    def _keep_pretrained(self, phase: Phase) -> None:
        if phase.pretrains is not None and self.pretrained is not None:
            file = self.pretrained(phase.pretrains.seed)
            save_pretrained(file, phase.pretrains.network, self.progress.costs[-1])


def _finite(loss: float, phase: Phase, step: int) -> float:
    if not math.isfinite(loss):
        raise DivergedError(
            f"{phase.name}: the loss is {loss} at step {step}; lower the learning rate "
            f"(now {phase.learning_rate:g}) of that stage or of recovery"
        )
    return loss


def make_deterministic(threads: int) -> None:
    """Fix all that could let two runs of one configuration differ. Call before the first tensor."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True)
    # With it, torch writes NaN into all fresh memory, to show reads of it; there are none.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
