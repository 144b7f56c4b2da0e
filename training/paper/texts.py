"""What the page says whatever was found: how to read it, and what its sections hold."""

from __future__ import annotations

from training.paper.fronts import LISTS
from training.paper.sections import ABLATION, FRONT, GOALS, METHODS, SETTINGS
from training.paper.table import LEAST_P

COMMAND = (
    "python -m training.paper --out docs/results/paper --work paper --logs LOG --parts PART "
    "[--raw LOG=FILE]"
)
OPENING = """\
The paper's figures are of a private log: what can be reproduced is a direction, not a size. A
claim is *reproduced* if its direction is shown at 95 %, *not reproduced* otherwise, *within noise*
if the opposite is not shown either, *partly reproduced* if some of its parts are, *not testable
here* if it takes what nobody here has. The `plain cascade` has the paper's parts and, beside them,
nested recovery, mixed negatives and replay; `csmf` is our preset `default`, which adds teachers and
fresh units and has no margin. [What surprises, and why](../../paper.md#what-surprises-and-why);
[methods](../../methods.md)."""
HOW_TO_READ = f"""\
- Recall and nDCG are over the whole catalogue, per page view, means over page views with a
  positive (macro; micro is in `*-metrics.csv`). ± is the standard deviation between seeds.
- A lead has its 95 % interval in brackets and a two-sided p: a bootstrap over users, with all
  their page views, and seeds, both sides answering the same draw. p ≤ {LEAST_P:.3f} is the least
  that its draws can give. What is shown is judged by p. Five seeds are few: where seeds vary as
  much as users do, the intervals hold the truth in 92 to 93 % of simulated cases, where they vary
  far more, in 86 to 88 %.
- What is chosen of a method (settings, weights, points of a front) is chosen on a validation
  period; figures are of the period after it. The best of several rivals, and the best other value
  of a setting, are the best on test, as in the paper's tables: that flatters them.
- A front of many lists gains by its luckiest ones, though it is thinned on validation: ten lists
  alike beat one of their kind in a fifth of simulated cases. What CSMF's front is ahead of single
  lists by is to be read so.
- "Own list" is the list that a method makes for the objective it is judged on, "fused list" its
  one list for all; they are never compared with each other. A method of one vector has the fused
  one alone.
- Of goals, "held" is shown at 95 %, "not held" that the opposite is shown, "within noise" neither.
- Where a log has no exposures, the model of its first stage takes the exposure model's place."""
_NAMES = """\
<details><summary>Names of methods</summary>

- The paper's rivals: `youtubednn-sep` (a model per objective, from scratch), `youtubednn-mix` (one
  model of clicks and conversions, a *union*; ×N counts conversions N times), `moppr`, `dmtl`,
  `mvke`, `dmmp`.
- Fine-tuned from the exposure model, one model per objective: `full-ft`, `lora`, `bitfit`.
  *Joined*: both vectors as one of 128 dimensions; *merged*: two searches, their lists mixed.
- Ours: `csmf` (preset `default`), `plain cascade` (preset `plain`), `joint` (the same segments,
  trained together, no cascade).
- *From scratch*: `youtubednn-sep` and the union see the later stages' positives alone, all others
  exposures too, at their pace. *From csmf's exposure model* starts from the larger one that `csmf`
  has; *as large as csmf* has all of its units; both by what was chosen for the common size.
  *Taught* learns from two models, as `csmf` does. `youtubednn-mix` itself counts conversions five
  times.

</details>"""
SAID = {
    GOALS: """\
`csmf` with what tuning chose for the log (Tuning, below), 64 dimensions, one search. (1) Its front
holds more than that of every rival, than all lists of retrained models pooled, than two fine-tuned
models joined to 128 dimensions. (2) At some weights, chosen on validation, its fused list is ahead
of the best-tuned union on both objectives. (3) Its list for each objective is within 2 % of every
model fine-tuned for that objective, the larger ones among them.""",
    METHODS: f"""\
The paper: CSMF has 0.3177 click recall@50, +6.61 % over the best rival, and 0.3694 conversion
recall@50, +7.51 %. Rivals are shown from the exposure model, where the cascade starts too, and
from scratch. `youtubednn-sep` and the union from scratch see no exposures; the other rivals from
scratch are trained on all stages at once, so what is only ahead of them shows what pre-training is
worth, not what the cascade is worth. The fused list of a method with a model per objective is that
of its last two joined in equal parts: twice the dimensions, but for `dmmp`, whose models share
their items.

{_NAMES}""",
    FRONT: f"""\
Weights trade objectives without training again, so a method is all the lists that it can serve. Of
each front at most {LISTS} lists are kept, on validation; their hypervolume is that on test. The
pictures show the lists of the mean front, means over seeds: chosen on validation and drawn on
test, so a line may turn back.""",
    ABLATION: """\
Each row leaves out a part or takes back a departure from the paper; `paper's settings` takes back
all. A lead is that of the first row of its group: above zero, the part helps (of *with AML*: the
margin hurts). The paper has these three for CSMF: without AML, without recovery, without CPP; each
is said to lose recall, by figures that we do not have.""",
    SETTINGS: """\
Fig. 4: τ is the share of information pruned; read from the axis on top, the share retained: both
readings of the paper. Fig. 5a: η. Fig. 5b to d: one weight varied, the others at ⟨1, 1.8, 1.2⟩,
nothing trained. Dotted: the paper's setting.""",
}
TIMED = """\
Seconds of a cascade over those of its own first phase, which trains one objective on as many
exposures, and over a model fine-tuned for each objective. What the paper's 1.349 is over is not
said; we take it for the former. Runs are timed beside others on the same machine: alone on it, see
*Speed of training*."""
TUNED = """\
Each method had four trials with two seeds, judged on validation by the product of the last two
recalls; from scratch five: a longer one more, or, where exposures set the pace, their rates and
epochs. Larger rivals take the choice of the common size. `csmf` and the taught union have three
different ones, as one says what their preset says. What was chosen by an earlier draw of a log is
marked by it: [tuned.json](tuned.json)."""
