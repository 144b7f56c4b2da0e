"""Settings per method and log, chosen on the validation period by as many trials for each.

Decisions
- A trial is a variant with `SEEDS` seeds, as one seed's luck is larger than most trials' effect.
  What decides is the largest product of click and conversion recall, means over seeds, among the
  lists of its fronts, on validation. The test side is not looked at.
- Trials change what all methods share (rates, epochs of the later stages, the margin), so nobody's
  own settings get more attention than another's. Variants of one method share its choice.
- Methods from scratch that see the later stages alone were best where they saw most: they have a
  long trial more. Where exposures set the pace from scratch, their rate and epochs are tried.
- The choice is kept with all trials' scores, and with the log that it was made on: `tuned.json`.
  What is there is not tuned again: who wants it to be deletes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bundle.writing import write_atomically
from training.paper.contender import MERGED
from training.paper.run import OWN_LISTS, Found
from training.paper.study import FROM_SCRATCH, LONG_TRIAL, PACED_TRIALS, TRIALS, StudyLog, Variant

Json = dict[str, Any]
Tuned = tuple[Variant, list[Variant]]  # the first of its method and start, and its trials
FILE = "tuned.json"
SEEDS = 2


def trial_variants(variants: Iterable[Variant], trials: int) -> list[Tuned]:
    """Per method and start to tune: its first variant, and its trials."""
    first: dict[tuple[str, str, str], Variant] = {}
    for variant in variants:
        first.setdefault(_tuned_together(variant), variant)
    return [
        (
            variant,
            [
                replace(
                    variant, name=f"{variant.name} trial {n}", settings=variant.settings + trial
                )
                for n, trial in enumerate(_trials(variant)[:trials])
            ],
        )
        for variant in first.values()
    ]


def score(found: Sequence[Found]) -> float:
    """The largest product of the last two recalls among the lists of one search each."""
    best = 0.0
    for name in found[0].fronts:
        if name not in (MERGED, OWN_LISTS):  # two searches; lists that were not tuned
            recalls_L2 = np.mean(
                [each.fronts[name].validation_LO[:, -2:] for each in found], axis=0
            )
            best = max(best, float(recalls_L2.prod(axis=1).max()))
    return best


def without_choice(choice: Json, tuned: Iterable[Tuned]) -> list[Tuned]:
    """Those whose choice is not made yet."""
    return [each for each in tuned if _name(each[0]) not in choice]


def choose(
    log: StudyLog, tuned: list[Tuned], found_of: Callable[[Variant], Sequence[Found]]
) -> Json:
    """The best trial of each on a log, with the scores of all."""
    choice: Json = {}
    for variant, trials in tuned:
        scores = [score(found_of(trial)) for trial in trials]
        best = int(np.argmax(scores))
        choice[_name(variant)] = {
            "settings": list(_trials(variant)[best]),
            "scores": [round(each, 6) for each in scores],
            "log": " ".join(log.command),
        }
    return choice


def tuned_settings(choice: Json, variant: Variant) -> tuple[str, ...]:
    """What was chosen for the variant's method, if it was tuned."""
    return tuple(choice.get(_name(variant), {}).get("settings", ()))


def read_choices(out: Path) -> Json:
    """Choices by log; empty where nothing was tuned."""
    file = out / FILE
    return dict(json.loads(file.read_text("utf-8"))) if file.exists() else {}


def write_choices(out: Path, choices: Json) -> None:
    """Keep the choices of all logs."""
    write_atomically(out / FILE, (json.dumps(choices, indent=1) + "\n").encode())


def _trials(variant: Variant) -> tuple[tuple[str, ...], ...]:
    if not variant.from_scratch:
        return TRIALS
    return PACED_TRIALS if variant.method in FROM_SCRATCH else (*TRIALS, LONG_TRIAL)


def _name(variant: Variant) -> str:
    return "|".join(_tuned_together(variant))


def _tuned_together(variant: Variant) -> tuple[str, str, str]:
    """Method, preset and start; an ablation of CSMF is CSMF."""
    start = "scratch" if variant.from_scratch else "exposure"
    ablated = variant.method.startswith("csmf") or variant.method == "packnet"
    own = "csmf" if ablated else variant.method
    return variant.tuned_as or own, variant.preset, start
