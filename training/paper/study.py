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

TAUS = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95)  # of information pruned
ETAS = (1.0, 1.4, 1.8, 2.2, 3.0)


@dataclass(frozen=True)
class Variant:
    """One way to train."""

    name: str
    method: str = "csmf"
    preset: str = "taught"
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyLog:
    """One log: simulated with these options, or converted from a raw file."""

    name: str
    title: str
    command: tuple[str, ...]  # of csmf-log; {raw} and {out} are filled in
    settings: tuple[str, ...] = ()
    raw: str | None = None  # which raw file it needs
    tuned: bool = True  # by trials of its own
    sweeps: bool = False  # the log of Table 3, Fig. 4 and 5, and of all starts and sizes


def scratch(method: str) -> Variant:
    """A rival that never sees the exposure model."""
    return Variant(f"{method}, from scratch", method, settings=("method.start=scratch",))


RIVALS = ("youtubednn-mix", "moppr", "dmtl", "mvke", "dmmp", "full-ft", "lora", "bitfit", "joint")
FROM_SCRATCH = ("moppr", "dmtl", "mvke", "dmmp", "joint")
MIXES = tuple(
    Variant(f"youtubednn-mix x{times}", "youtubednn-mix", settings=(f"method.last_weight={times}",))
    for times in (1, 2, 5, 10)
)
# CSMF gives later stages fresh units: rivals with all of its units, from the start.
AS_LARGE = ("model.hidden=[768]", "model.columns=64")
MAIN = (
    Variant("csmf"),
    *(Variant(method, method) for method in RIVALS),
    Variant("youtubednn-sep", "youtubednn-sep"),
    scratch("youtubednn-mix"),
)
OTHER_STARTS_AND_SIZES = (
    *(scratch(method) for method in FROM_SCRATCH),
    *(
        Variant(f"{method}, as large as csmf", method, settings=AS_LARGE)
        for method in ("full-ft", "youtubednn-mix")
    ),
)
# CSMF without what the paper does not have but for nested recovery and mixed negatives.
PLAIN = (
    *("pruning.fresh_units=0", "pruning.fresh_columns=0", "middle.taught=0", "last.taught=0"),
    *("pruning.tau=0.5", "pruning.tau_tables=0.25"),
)
ABLATIONS = (
    Variant("w/o AML", "csmf-no-aml"),
    Variant("w/o accuracy recovery", "csmf-no-recovery"),
    Variant("w/o CPP (packnet)", "packnet"),
    Variant("w/o fresh units", settings=("pruning.fresh_units=0", "pruning.fresh_columns=0")),
    Variant("w/o teachers", settings=("middle.taught=0", "last.taught=0")),
    Variant("w/o replay", settings=("last.replay=0",)),
    Variant("w/o mixed negatives", settings=("middle.mixed_negatives=0", "last.mixed_negatives=0")),
    Variant("recovery not nested", settings=("recovery.nested=false",)),
    Variant("recovery on a tenth", settings=("recovery.share=0.1",)),
    Variant("segments by CPP", settings=("model.segments=cpp",)),
    Variant("freed units drawn afresh", settings=("pruning.reinitialise=true",)),
    Variant("tau 0.75, fixed segments", settings=("pruning.tau=0.75", "pruning.tau_tables=0.25")),
    Variant("plain cascade", settings=PLAIN),
    Variant("plain cascade, w/o AML", "csmf-no-aml", settings=PLAIN),
    Variant("plain cascade, w/o accuracy recovery", "csmf-no-recovery", settings=PLAIN),
    Variant("plain cascade, w/o CPP", settings=(*PLAIN, "pruning.form=ratio", "pruning.tau=0.75")),
    Variant("paper's settings", preset="paper"),
)
SWEEPS = (
    *(
        Variant(f"tau {tau:.2f}", settings=(*PLAIN, f"pruning.tau={tau}", "model.segments=cpp"))
        for tau in TAUS
    ),
    *(
        Variant(f"eta {eta:.1f}", settings=(*PLAIN, "margin.form=literal", f"margin.eta={eta}"))
        for eta in ETAS
    ),
)


def _rates(rate: str) -> tuple[str, ...]:
    return (f"middle.learning_rate={rate}", f"last.learning_rate={rate}")


def _epochs(middle: int, last: int) -> tuple[str, ...]:
    return (f"middle.epochs={middle}", f"last.epochs={last}")


# What every method may be tuned by: as many trials each, chosen on validation.
TRIALS: tuple[tuple[str, ...], ...] = (
    (),
    (*_rates("3e-4"), *_epochs(2, 3)),
    (*_rates("3e-4"), *_epochs(2, 3), "middle.mixed_negatives=2048"),
    (*_rates("3e-4"), *_epochs(2, 3), "middle.mixed_negatives=2048", "margin.form=none"),
    (*_epochs(2, 3), "middle.mixed_negatives=2048", "margin.form=none"),
    (*_rates("5e-4"), *_epochs(4, 8), "middle.mixed_negatives=2048"),
)
# The release's own evaluation is not used: the study judges all methods alike.
JUDGED_BRIEFLY = ("evaluation.validation_share=0", "evaluation.max_requests=100")


@dataclass(frozen=True)
class Study:
    """Logs × variants × seeds."""

    logs: tuple[StudyLog, ...]
    seeds: int  # of the main methods
    few: int  # of everything else
    trials: int  # per method and log; 1 is the defaults
    methods: tuple[Variant, ...] = MAIN
    retrained: tuple[Variant, ...] = MIXES
    others: tuple[Variant, ...] = OTHER_STARTS_AND_SIZES
    ablations: tuple[Variant, ...] = ABLATIONS
    sweeps: tuple[Variant, ...] = SWEEPS

    @property
    def everything(self) -> tuple[Variant, ...]:
        """The methods of tables and fronts, on whatever log."""
        return (*self.methods, *self.retrained, *self.others)

    def main(self, log: StudyLog) -> tuple[Variant, ...]:
        """Those of them that are run on a log."""
        return self.everything if log.sweeps else (*self.methods, *self.retrained)

    def runs(self, log: StudyLog) -> list[tuple[Variant, int]]:
        """(variant, seed), CSMF's first: they train the exposure models that others start from."""
        runs = [(variant, seed) for variant in self.methods for seed in range(self.seeds)]
        rest = self.main(log)[len(self.methods) :]
        if log.sweeps:
            rest = (*rest, *self.ablations, *self.sweeps)
        return runs + [(variant, seed) for variant in rest for seed in range(self.few)]


def _simulated(name: str, title: str, *options: str, sweeps: bool = False) -> StudyLog:
    command = ("simulate", *options, "--out", "{out}")
    return StudyLog(name, title, command, ("split.test_share=0.5",), sweeps=sweeps)


def _funnel() -> StudyLog:
    """2 exposure epochs, as it has many; what is chosen on the dense log serves here too."""
    command = ("simulate", "--preset", "funnel", "--out", "{out}")
    settings = ("split.test_share=0.5", "first.epochs=2")
    return StudyLog("funnel", "simulated, the paper's funnel", command, settings, tuned=False)


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
    others=(),
    ablations=ABLATIONS[:7],
    sweeps=tuple(each for each in SWEEPS if each.name in _SWEPT),
)
FULL = Study(
    logs=(
        _simulated("dense", "simulated, dense", "--preset", "dense", sweeps=True),
        _simulated("conflict", "simulated, strong conflict", "--preset", "conflict"),
        _funnel(),
        StudyLog(
            "trivago",
            "trivago",
            ("convert", "trivago", "--input", "{raw}", "--out", "{out}"),
            ("model.hidden=[]", "sampling.unknown_rate=0.2"),
            raw="trivago",
        ),
        StudyLog(
            "beibei",
            "Beibei, two stages",
            ("convert", "beibei", "--input", "{raw}", "--out", "{out}"),
            ("split.min_count=1", "first.epochs=8", "first.learning_rate=3e-3"),
            raw="beibei",
        ),
    ),
    seeds=5,
    few=3,
    trials=len(TRIALS),
)
