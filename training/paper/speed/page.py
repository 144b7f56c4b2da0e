"""The page on the speed of training, and the same as JSON.

Decisions: what a peer was given stands beside its rate; how to make its environment stands below.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bundle.writing import write_atomically
from training.paper.provenance import commit, machine

OURS = ("ours", "ours-lean")
PEERS = ("dssm", "dssm-lean", "replay")
MODELS = {
    "ours": "exposure stage: in-batch and 1 unexposed negative a positive, logQ, masks, 5 % hidden "
    "categories; all features",
    "ours-lean": "the same without the unexposed negative: in-batch, as the peers' are",
    "dssm": "torch-rechub 0.9 DSSM as it ships: its trainer, loader and in-batch sampler; all "
    "features",
    "dssm-lean": "the same model and optimiser; batches cut from arrays, a softmax over the batch",
    "replay": "RePlay 0.22 TwoTower (SasRec query tower over a user's last 20 exposures, each an "
    "example), 512 shared negatives; item, category, price",
}
PEER_ENVIRONMENT = """The peers pin other versions than we do, so they have their own environment:

```
python3.11 -m venv peers
peers/bin/pip install torch==2.13.0 torch-rechub==0.9.0 'replay-rec[torch]==0.22.0'
```"""


@dataclass(frozen=True)
class Contender:
    """One trainer's examples a second, per round; `read_seconds`: parquet to its first batch."""

    name: str
    read_seconds: float
    rates: Sequence[float]

    def with_reading(self, examples: int) -> float:
        """Examples a second of one epoch, reading included."""
        return examples / (self.read_seconds + examples / median(self.rates))


@dataclass(frozen=True)
class PhaseRate:
    """One phase of a run: its steps at the rate of a sample."""

    name: str
    steps: int
    examples: int
    seconds: float
    shares: Mapping[str, float]  # of the time, by kind of work


def overheads(phases: Sequence[PhaseRate], exposures: int) -> dict[str, float]:
    """CSMF's time over one objective's: with equal passes over exposures, and with its own."""
    total, first = sum(phase.seconds for phase in phases), phases[0]
    recovered = phases[1].examples if len(phases) > 1 else 0
    passes = (first.examples + recovered) / exposures
    per_pass = first.seconds / (first.examples / exposures)
    return {"equal exposure epochs": total / (passes * per_pass), "without": total / first.seconds}


def write_speed(
    out: Path,
    log: str,
    exposures: int,
    contenders: Sequence[Contender],
    phases: Sequence[PhaseRate],
) -> str:
    """Write `speed.json` and `speed.md` into `out`; the page."""
    ratios = overheads(phases, exposures)
    document = {
        "log": log,
        "exposures": exposures,
        "contenders": [asdict(each) for each in contenders],
        "phases": [asdict(each) for each in phases],
        "overheads": ratios,
        "commit": commit(),
        "machine": machine(),
        "date": _today(),
    }
    page = "\n".join([*_contest(contenders, exposures), *_phases(phases, ratios), *_foot(log)])
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "speed.json", (json.dumps(document, indent=1) + "\n").encode())
    write_atomically(out / "speed.md", page.encode())
    return page


def _contest(contenders: Sequence[Contender], exposures: int) -> list[str]:
    rows = []
    for each in contenders:
        ratios = [_over(own, each) for own in contenders[: len(OURS)]]
        rows.append(
            f"| {each.name} | {MODELS[each.name]} | {median(each.rates):,.0f} "
            f"| {each.with_reading(exposures):,.0f} | {' | '.join(f'{r:.2f}' for r in ratios)} |"
        )
    return [
        "# The speed of training",
        "",
        "Examples a second of one core (its own seconds), 64 dims, a hidden layer of 256, tables "
        "of 32 columns (RePlay: blocks of its own, tables of 64, since it adds them), 512 a step "
        f"(RePlay: 500). Median of {len(contenders[0].rates)} rounds in which all take turns. "
        f"With reading: one epoch of {exposures:,} exposures, from parquet on.",
        "",
        "| | model and features | examples a second | with reading | "
        + " | ".join(f"{name} over it" for name in OURS)
        + " |",
        "| --- | --- |" + (2 + len(OURS)) * " ---: |",
        *rows,
        "",
    ]


def _over(own: Contender, other: Contender) -> float:
    return median(mine / theirs for mine, theirs in zip(own.rates, other.rates, strict=True))


def _phases(phases: Sequence[PhaseRate], ratios: dict[str, float]) -> list[str]:
    total = sum(phase.seconds for phase in phases)
    rows = [
        f"| {phase.name} | {phase.steps:,} | {phase.examples:,} | {phase.seconds:,.1f} "
        f"| {phase.examples / phase.seconds:,.0f} | {phase.seconds / total:.0%} | "
        + " | ".join(f"{share:.0%}" for share in phase.shares.values())
        + " |"
        for phase in phases
    ]
    kinds = list(phases[0].shares)
    return [
        "## The phases of the plain cascade",
        "",
        "| phase | steps | examples | seconds | a second | of all | " + " | ".join(kinds) + " |",
        "| --- |" + (5 + len(kinds)) * " ---: |",
        *rows,
        f"| all | {sum(p.steps for p in phases):,} | {sum(p.examples for p in phases):,} "
        f"| {total:,.1f} | | 100% |" + len(kinds) * " |",
        "",
        "The last columns say what a step does: matrix products of the towers and scores; rows of "
        "tables; passes over the logits; Adam; and the rest (batches, small operations, Python, "
        "the profiler).",
        "",
        f"All of it takes {ratios['equal exposure epochs']:.2f} times what one objective takes "
        "with as many passes over the exposures (recovery is one), and "
        f"{ratios['without']:.2f} times its own exposure phase. The paper: 1.349.",
        "",
    ]


def _foot(log: str) -> list[str]:
    command = f"python -m training.paper.speed --log {log} --out DIR --peer-python peers/bin/python"
    return [PEER_ENVIRONMENT, "", f"`{command}`, {_today()}, commit {commit()}, {machine()}.", ""]


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
