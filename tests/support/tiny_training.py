"""A configuration that trains on a tiny log in a second."""

STAGES = ("exposure", "click", "conversion", "keep", "return")
TINY = (
    "model.dim=16",
    "model.hidden=[12]",
    "model.columns=6",
    "first.batch_size=64",
    "middle.batch_size=32",
    "middle.epochs=2",
    "middle.mixed_negatives=16",
    "last.batch_size=16",
    "last.epochs=2",
    "last.mixed_negatives=32",
    "last.teacher_epochs=1",
    "pruning.fresh_units=4",
    "pruning.fresh_columns=2",
    "evaluation.ks=[5, 10]",
)
SET_TINY = [word for setting in TINY for word in ("--set", setting)]
