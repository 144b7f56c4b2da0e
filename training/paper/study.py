"""What is measured: logs, variants of training, seeds. All of it data; nothing runs here.

Decisions
- A variant is a command line of csmf-train: a preset, a method, settings. Methods, ablations and
  sweeps of a setting are all variants, so one loop trains them and one judge judges them.
- A log says by `settings` what every method gets on it: how it is cut, and sizes that suit it.
- `quick` is the same study on small simulated logs with two seeds: to see that it runs, and what it
  would say; `full` is what is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from training.presets import load_config

Kind = Literal["tables", "ablations", "sweeps"]
PARTS: tuple[Kind, ...] = ("tables", "ablations", "sweeps")  # of what is measured on a log
TAUS = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95)  # of information pruned
ETAS = (1.0, 1.4, 1.8, 2.2, 3.0)
# Rivals are run at half of CSMF's exposure model; and, as theirs may gain by size, at its size and
# with all units that CSMF has in the end, from the start.
AS_LARGE = "as large as csmf"
Sizes = tuple[tuple[str, tuple[str, ...]], ...]  # each by its name, and what sets it
SIZES: Sizes = (
    ("from csmf's exposure model", ("model.hidden=[512]", "model.columns=48")),
    (AS_LARGE, ("model.hidden=[1024]", "model.columns=96")),
)


@dataclass(frozen=True)
class Variant:
    """One way to train."""

    name: str
    method: str = "csmf"
    preset: str = "plain"
    settings: tuple[str, ...] = ()
    tuned_as: str = ""  # the method whose choice it takes, where not its own

    @property
    def from_scratch(self) -> bool:
        """Whether it never sees the exposure model."""
        config = load_config(self.preset, None, self.settings, method=self.method)
        return config.method.start == "scratch"


@dataclass(frozen=True)
class StudyLog:
    """One log: simulated with these options, or converted from a raw file."""

    name: str
    title: str
    command: tuple[str, ...]  # of csmf-log; {raw} and {out} are filled in
    settings: tuple[str, ...] = ()
    raw: str | None = None  # which raw file it needs
    tuned_on: str | None = None  # the log whose trials choose for it; none: all run as preset
    sizes: Sizes = SIZES  # at which rivals are run larger too
    sweeps: bool = False  # the log of Table 3, Fig. 4 and 5, and of all starts


def shipped(name: str, *settings: str, method: str = "csmf") -> Variant:
    """CSMF as it does best, with settings changed."""
    return Variant(name, method, "default", settings)


def scratch(method: str) -> Variant:
    """A rival that never sees the exposure model."""
    return Variant(f"{method}, from scratch", method, settings=("method.start=scratch",))


# `joint` has all of CSMF's units in CSMF's partition.
PARTITION = ("pruning.tau=0.25", "pruning.tau_tables=0.1")
FRESH = ("pruning.fresh_units=384", "pruning.fresh_columns=32")
UNION = "youtubednn-mix"  # of the last two objectives' positives; conversions count five times
RIVALS = (UNION, "moppr", "dmtl", "mvke", "dmmp", "full-ft", "lora", "bitfit")
FROM_SCRATCH = ("moppr", "dmtl", "mvke", "dmmp", "joint")  # at the pace of exposures, then
MIXES = tuple(
    Variant(f"{UNION} x{times}", UNION, settings=(f"method.last_weight={times}",))
    for times in (1, 2, 10)
)
# CSMF with the paper's parts only, but for nested recovery, mixed negatives and replay.
PLAIN = Variant("plain cascade")
OURS = "csmf"  # as it does best
CORNER = "full-ft"  # the models fine-tuned for each objective, which fronts are measured by
ENLARGED = (CORNER, UNION, "moppr")  # the best of each kind at the common size
MAIN = (
    shipped(OURS),
    PLAIN,
    *(Variant(method, method) for method in RIVALS),
    Variant("joint", "joint", settings=(*PARTITION, *FRESH)),
    Variant("youtubednn-sep", "youtubednn-sep"),
    scratch(UNION),
)
# A union that learns from two others, as CSMF does from its teachers.
TAUGHT_MIX = Variant(
    f"{UNION} x5, taught",
    UNION,
    "default",
    ("middle.teacher_epochs=3", "middle.decay=linear"),
)
OTHER_STARTS = tuple(scratch(method) for method in FROM_SCRATCH)
# PackNet's ratio frees more units than CPP does; τ read as a share of units frees fewer. The same
# segments of the same units trained together: what the cascade is worth beside its partition.
PLAIN_ABLATIONS = (
    Variant("plain cascade, w/o the cascade (joint)", "joint", tuned_as=OURS),
    Variant("plain cascade, w/o AML", "csmf-no-aml"),
    Variant("plain cascade, w/o accuracy recovery", "csmf-no-recovery"),
    Variant("plain cascade, w/o CPP (packnet)", "packnet"),
    Variant("plain cascade, w/o CPP (tau of units)", settings=("pruning.form=ratio",)),
)
ABLATIONS = (
    shipped("with AML", "margin.form=literal"),
    shipped("w/o accuracy recovery", method="csmf-no-recovery"),
    shipped("w/o CPP (packnet)", method="packnet"),
    shipped("w/o CPP (tau of units)", "pruning.form=ratio"),
    shipped("w/o fresh units", "pruning.fresh_units=0", "pruning.fresh_columns=0"),
    shipped("one teacher", "teachers=1"),
    shipped(
        "w/o teachers",
        *("middle.taught=0", "middle.own=1"),
        *("last.taught=0", "last.own=1", "last.replay_taught=0"),
    ),
    shipped("w/o replay", "last.replay=0", "last.replay_taught=0"),
    shipped("w/o mixed negatives", "middle.mixed_negatives=0", "last.mixed_negatives=0"),
    shipped("recovery not nested", "recovery.nested=false"),
    shipped("recovery on a tenth", "recovery.share=0.1"),
    shipped("segments by CPP", "model.segments=cpp"),
    shipped("freed units drawn afresh", "pruning.reinitialise=true"),
    shipped("tau 0.75, fixed segments", "pruning.tau=0.75", "pruning.tau_tables=0.25"),
    shipped("steady rates", "last.decay=none", "recovery.decay=none"),
    shipped("recovery of one pass", "recovery.epochs=1"),
    shipped("narrow towers", "model.hidden=[256]", "model.columns=32"),
    shipped("as few passes as the paper", "first.epochs=1", "middle.epochs=1", "last.epochs=1"),
    Variant("paper's settings", preset="paper"),
    *PLAIN_ABLATIONS,
)
SWEEPS = (
    *(
        Variant(f"tau {tau:.2f}", settings=(f"pruning.tau={tau}", "model.segments=cpp"))
        for tau in TAUS
    ),
    *(
        Variant(f"eta {eta:.1f}", settings=("margin.form=literal", f"margin.eta={eta}"))
        for eta in ETAS
    ),
)


def _rates(rate: str) -> tuple[str, ...]:
    return (f"middle.learning_rate={rate}", f"last.learning_rate={rate}")


def _epochs(middle: int, last: int) -> tuple[str, ...]:
    return (f"middle.epochs={middle}", f"last.epochs={last}")


# What every method may be tuned by: as many trials each, chosen on validation. Who starts from
# scratch has one more: with as many examples as the others see with their exposures; or, where
# exposures set the pace, of rates and epochs of exposures.
TRIALS: tuple[tuple[str, ...], ...] = (
    (),
    (*_rates("3e-4"), *_epochs(2, 3), "middle.mixed_negatives=2048", "margin.form=none"),
    (*_epochs(2, 3), "middle.mixed_negatives=2048", "margin.form=none"),
    (*_rates("5e-4"), *_epochs(4, 8), "middle.mixed_negatives=2048"),
)
LONG_TRIAL = (*_epochs(16, 32), "middle.mixed_negatives=2048")
_LONGER, _MIXED = "first.epochs=6", "middle.mixed_negatives=2048"
PACED_TRIALS: tuple[tuple[str, ...], ...] = (
    (),
    ("first.learning_rate=3e-4", _LONGER, _MIXED),
    (_LONGER, _MIXED),
    ("first.learning_rate=5e-4", _LONGER),
    ("first.learning_rate=3e-3", _MIXED),
)
# The release's own evaluation is not used: the study judges all methods alike.
JUDGED_BRIEFLY = ("evaluation.validation_share=0", "evaluation.max_requests=100")


@dataclass(frozen=True)
class Study:
    """Logs × variants × seeds."""

    logs: tuple[StudyLog, ...]
    seeds: int  # of the methods of tables and fronts
    few: int  # of ablations and sweeps
    trials: int  # of a method on a log, at most; 1 is the defaults
    methods: tuple[Variant, ...] = MAIN
    retrained: tuple[Variant, ...] = MIXES
    enlarged: tuple[str, ...] = ENLARGED
    taught: tuple[Variant, ...] = (TAUGHT_MIX,)
    others: tuple[Variant, ...] = OTHER_STARTS  # on the log of sweeps
    ablations: tuple[Variant, ...] = ABLATIONS
    sweeps: tuple[Variant, ...] = SWEEPS

    def larger(self, log: StudyLog) -> tuple[Variant, ...]:
        """Rivals at larger sizes, by their choice at the common one."""
        return tuple(
            Variant(f"{method}, {size}", method, settings=settings)
            for size, settings in log.sizes
            for method in self.enlarged
        )

    def tuned(self, log: StudyLog) -> tuple[Variant, ...]:
        """Those whose settings are chosen by trials; the rest share the choice of one of them."""
        return (*self.methods, *self.taught, *(self.others if log.sweeps else ()))

    def main(self, log: StudyLog) -> tuple[Variant, ...]:
        """The methods of tables and fronts on a log."""
        others = self.others if log.sweeps else ()
        return (*self.methods, *self.retrained, *self.larger(log), *self.taught, *others)

    def part(self, kind: Kind, log: StudyLog) -> list[tuple[Variant, int]]:
        """(variant, seed), seed by seed: a study cut short has all methods, with fewer seeds."""
        seeds, variants = {
            "tables": (self.seeds, self.main(log)),
            "ablations": (self.few, self.ablations if log.sweeps else ()),
            "sweeps": (self.few, self.sweeps if log.sweeps else ()),
        }[kind]
        return [(variant, seed) for seed in range(seeds) for variant in variants]

    def needed(self, kind: Kind, log: StudyLog) -> list[tuple[Variant, int]]:
        """With what the part is held against: ablations are of CSMF, which is in the tables."""
        runs = self.part(kind, log)
        whole = [each for each in self.methods if each.name in (OURS, PLAIN.name, CORNER)]
        if kind == "ablations" and runs:
            return [*((each, seed) for seed in range(self.few) for each in whole), *runs]
        return runs

    def runs(self, log: StudyLog) -> list[tuple[Variant, int]]:
        """All of them."""
        return [run for kind in PARTS for run in self.part(kind, log)]


def _simulated(name: str, title: str, *options: str, sweeps: bool = False) -> StudyLog:
    """One log's trials choose for all of them."""
    command = ("simulate", *options, "--out", "{out}")
    settings = ("split.test_share=0.5",)
    return StudyLog(name, title, command, settings, tuned_on="dense", sweeps=sweeps)


def _funnel() -> StudyLog:
    """One exposure epoch, as it has millions (a second finds .266 for .265), a quarter recovers."""
    command = ("simulate", "--preset", "funnel", "--out", "{out}")
    settings = ("split.test_share=0.5", "first.epochs=1", "recovery.share=0.25")
    return StudyLog("funnel", "simulated, the paper's funnel", command, settings, tuned_on="dense")


_FRESH_DRAW = ("--seed", "11")  # `default` was found on the presets' own draws; see lab-notes.md
_SMALL = ("--users", "1500", "--items", "2000", "--requests", "10000")
_SWEPT = {"tau 0.25", "tau 0.75", "tau 0.95", "eta 1.0", "eta 1.8", "eta 3.0"}
QUICK = Study(
    logs=(
        _simulated("dense", "simulated, dense", *_SMALL, sweeps=True),
        _simulated("conflict", "simulated, strong conflict", *_SMALL, "--conflict", "0.9"),
    ),
    seeds=2,
    few=1,
    trials=1,
    enlarged=(),
    taught=(),
    others=(),
    ablations=ABLATIONS[:7],
    sweeps=tuple(each for each in SWEEPS if each.name in _SWEPT),
)
FULL = Study(
    logs=(
        _simulated("dense", "simulated, dense", "--preset", "dense", *_FRESH_DRAW, sweeps=True),
        _simulated("conflict", "simulated, strong conflict", "--preset", "conflict", *_FRESH_DRAW),
        _funnel(),
        StudyLog(
            "trivago",
            "trivago",
            ("convert", "trivago", "--input", "{raw}", "--out", "{out}"),
            ("model.hidden=[]", "model.columns=32", "sampling.unknown_rate=0.2"),
            raw="trivago",
            sizes=((AS_LARGE, ("model.columns=80",)),),
            tuned_on="trivago",
        ),
        StudyLog(
            "beibei",
            "Beibei, two stages",
            ("convert", "beibei", "--input", "{raw}", "--out", "{out}"),
            (  # as many purchases as others have exposures: few passes do
                *("split.min_count=1", "first.epochs=8", "first.learning_rate=3e-3"),
                *("last.epochs=1", "last.teacher_epochs=1", "recovery.epochs=1"),
                *("model.hidden=[256]", "model.columns=32"),
            ),
            raw="beibei",
            sizes=((AS_LARGE, ("model.hidden=[512]", "model.columns=56")),),
            tuned_on="beibei",
        ),
    ),
    seeds=5,
    few=5,
    trials=len(TRIALS) + 1,
)
