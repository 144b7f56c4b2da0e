"""Whole runs: from a log to a sealed bundle, the same one however often the run is killed."""

import fcntl
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from support.tiny_training import SET_TINY, TINY

from bundle.manifest import StageCertificate
from bundle.scoring import objective_scores
from bundle.towers import open_item_tower, open_user_tower
from training.certificate import certify
from training.cli import main
from training.config import even_sizes
from training.data import log_fingerprint
from training.errors import (
    BusyError,
    CertificateError,
    CheckpointError,
    ConfigError,
    DivergedError,
)
from training.export import random_inputs
from training.logs.reader import read_log
from training.methods.registry import build_method
from training.presets import load_config
from training.progress import ProgressReport
from training.release import default_weights
from training.run import run_identity, train_and_release
from training.trainer import Trainer, make_deterministic

ROOT = Path(__file__).parents[2]


class StoppingReport(ProgressReport):
    """Stops a run after a number of steps, as a kill would."""

    def __init__(self, directory, stop_after=None):
        super().__init__(directory)
        self.left = stop_after
        self.phases = {}  # name → (steps made before it, positives of each step)

    def start(self, phase, steps, done, before):
        super().start(phase, steps, done, before)
        self.now = self.phases[phase] = (before, [])

    def step(self, loss, positives):
        super().step(loss, positives)
        self.now[1].append(positives)
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


def trainer_of(data, config, checkpoint):
    return Trainer(build_method(data, config), checkpoint, every=config.checkpoint_every)


def parameters_of(trainer):
    return {
        name: parameter.detach().numpy().copy()
        for name, parameter in trainer.method.network.named_parameters()
    }


def test_a_cascade_of_five_trains_to_a_sealed_bundle(make_log, config, tmp_path):
    (bundle,) = train_and_release(make_log(5), tmp_path / "releases", config)
    assert (len(bundle.segments.names), bundle.segments.dim) == (5, 16)
    assert [each.stage for each in bundle.manifest.certificates] == list(bundle.segments.names)
    assert bundle.manifest.weights.values == (1.0,) * 5


def test_a_cascade_of_two_without_exposures_trains_to_a_sealed_bundle(make_log, config, tmp_path):
    """The first stage is then a click, every event is one, and all negatives are in-batch."""
    directory = make_log(2)
    events = pl.read_parquet(directory / "events.parquet")
    events.filter("exposed").write_parquet(directory / "events.parquet")
    (bundle,) = train_and_release(directory, tmp_path / "releases", config)
    assert (len(bundle.segments.names), bundle.segments.dim) == (2, 16)


def test_pruning_decides_the_segments_of_the_paper_preset(data, tmp_path):
    trainer = trainer_of(data, load_config("paper", None, TINY), tmp_path / "checkpoint.npz")
    trainer.run(StoppingReport(tmp_path))
    sizes = trainer.method.served()[""].segments.sizes
    assert sum(sizes) == 16
    assert sizes[0] < even_sizes(16, 3)[0], "τ = 0.75 leaves less than a third"
    assert len(trainer.method.certificates) == 3


def test_a_log_whose_stage_has_no_positives_is_refused_before_training(make_log, config, tmp_path):
    directory = make_log(3)
    events = pl.read_parquet(directory / "events.parquet")
    events.with_columns(converted=pl.lit(value=False)).write_parquet(directory / "events.parquet")
    with pytest.raises(ConfigError, match="'conversion' has no positives"):
        train_and_release(directory, tmp_path / "releases", config)
    assert not list(tmp_path.glob("releases/.training/*/checkpoint.npz"))


def test_weights_that_name_another_cascade_are_refused():
    config = load_config(assignments=["weights={click: 1, buy: 2}"])
    with pytest.raises(ConfigError, match="buy"):
        default_weights(config, ("exposure", "click", "conversion"))


def test_the_bundle_says_how_good_it_is_per_list_and_objective(released):
    evaluation = json.loads((released.directory / "evaluation.json").read_text())
    assert set(evaluation["lists"]) == {
        "exposure score",
        "click score",
        "conversion score",
        "fused",
    }
    for judged in evaluation["lists"].values():
        for stage in released.segments.names:
            recall = judged[stage]["all"]["recall@10"]
            assert 0 <= recall["macro"] <= 1
            assert set(judged[stage]["seen_items"]) == set(judged[stage]["all"])
    assert 0 < evaluation["objectives"]["click"]["item_coverage"] <= 1
    assert evaluation["parity_max_abs_error"] <= 1e-5


def test_the_default_weights_of_three_stages_are_the_papers(released):
    assert released.manifest.weights.values == (1.0, 1.8, 1.2)


def test_no_path_clock_or_tool_version_enters_the_bundle(released):
    for file in released.directory.iterdir():
        content = file.read_bytes()
        for word in (b"site-packages", str(ROOT).encode(), b"/tmp/", b"stack_trace", b"pkg.torch"):
            assert word not in content, (file.name, word)


def test_the_same_command_again_says_that_the_run_is_released(released, log, capsys):
    out = released.directory.parent
    assert main(["--log", str(log), "--out", str(out), *SET_TINY]) == 0
    assert f"sha256 {released.sha256}" in capsys.readouterr().out


def test_another_seed_is_another_run(released, log, config):
    named = [
        run_identity(read_log(log), log_fingerprint(log), config.model_copy(update={"seed": seed}))
        for seed in (0, 1)
    ]
    assert released.manifest.run_id == named[0] != named[1]


def test_the_released_towers_compute_what_was_trained(released, log, config, data):
    users = random_inputs(released.schema.user, released.schema, rows=5, seed=1)
    items = random_inputs(released.schema.item, released.schema, rows=9, seed=2)
    users_BM, items_NM = (
        tower.embed({name: array.numpy() for name, array in inputs.items()})
        for tower, inputs in (
            (open_user_tower(released), users),
            (open_item_tower(released), items),
        )
    )
    scores_SBN = objective_scores(users_BM, np.stack([items_NM] * 5), released.segments)
    np.testing.assert_allclose(users_BM @ items_NM.T, scores_SBN[-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stop_after", [1, 7, 8, 20, 26, 33])
def test_a_run_stopped_at_any_step_resumes_to_the_same_bits(data, config, tmp_path, stop_after):
    make_deterministic(1)
    config = config.model_copy(update={"checkpoint_every": 3})
    undisturbed = trainer_of(data, config, tmp_path / "one.npz")
    undisturbed.run(StoppingReport(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        trainer_of(data, config, tmp_path / "two.npz").run(StoppingReport(tmp_path, stop_after))
    resumed = trainer_of(data, config, tmp_path / "two.npz")
    resumed.run(StoppingReport(tmp_path))
    expected, found = parameters_of(undisturbed), parameters_of(resumed)
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)
    assert undisturbed.method.certificates == resumed.method.certificates


def test_a_resumed_run_counts_on_where_the_run_was_stopped(data, config, tmp_path):
    undisturbed = StoppingReport(tmp_path)
    trainer_of(data, config, tmp_path / "one.npz").run(undisturbed)
    with pytest.raises(KeyboardInterrupt):
        trainer_of(data, config, tmp_path / "two.npz").run(StoppingReport(tmp_path, 33))
    resumed = StoppingReport(tmp_path)
    trainer_of(data, config, tmp_path / "two.npz").run(resumed)
    assert 0 < len(resumed.phases) < len(undisturbed.phases)
    for name, (before, _) in resumed.phases.items():
        assert before == undisturbed.phases[name][0] > 0


def test_progress_counts_the_positives_of_a_step_not_the_batch_size(data, config, tmp_path):
    report = StoppingReport(tmp_path)
    trainer_of(data, config, tmp_path / "checkpoint.npz").run(report)
    epochs = {"exposure": config.first.epochs, "conversion": config.last.epochs}
    for stage, name in ((0, "exposure"), (2, "conversion")):
        assert sum(report.phases[name][1]) == epochs[name] * len(data.positives[stage])


def test_replay_changes_the_last_stage_and_nothing_upstream(data, config, tmp_path):
    found = []
    for replay in (0.0, 1.0):
        last = config.last.model_copy(update={"replay": replay})
        changed = config.model_copy(update={"last": last})
        trainer = trainer_of(data, changed, tmp_path / f"{replay}.npz")
        trainer.run(StoppingReport(tmp_path))
        found.append(trainer.method.certificates)
    assert found[0][:2] == found[1][:2]
    assert found[0][2] != found[1][2]


def test_towers_whose_features_are_all_numbers_train_to_a_sealed_bundle(make_log, config, tmp_path):
    """Raw inputs belong to the first stage; the later ones then have no input of their own."""
    directory = make_log(3)
    spec = yaml.safe_load((directory / "log.yaml").read_text())
    features = spec["features"]
    features["user"] = [each for each in features["user"] if each["type"] == "numeric"]
    features["item"] = [each for each in features["item"] if each["type"] == "vector"]
    (directory / "log.yaml").write_text(yaml.safe_dump(spec))
    (bundle,) = train_and_release(directory, tmp_path / "releases", config)
    assert min(bundle.segments.sizes) >= 1
    assert len(bundle.manifest.certificates) == 3


def test_a_later_part_with_nothing_to_judge_by_is_refused_before_training(
    make_log, config, tmp_path
):
    directory = make_log(3)
    requests = pl.read_parquet(directory / "requests.parquet").sort("ts")
    early = requests["request_id"].head(96).implode()
    events = pl.read_parquet(directory / "events.parquet")
    events.filter(pl.col("request_id").is_in(early)).write_parquet(directory / "events.parquet")
    with pytest.raises(ConfigError, match="nothing to judge by"):
        train_and_release(directory, tmp_path / "releases", config)
    assert not list(tmp_path.glob("releases/.training/*/checkpoint.npz"))


def test_three_kills_leave_the_bundle_of_an_undisturbed_run(log, tmp_path, capfd):
    words = [*SET_TINY, "--set", "checkpoint_every=5"]
    words += ["--set", "first.epochs=20", "--set", "last.epochs=20"]
    assert main(["--log", str(log), "--out", str(tmp_path / "quiet"), *words]) == 0
    undisturbed = capfd.readouterr().out.splitlines()[-1]

    out = tmp_path / "killed"
    command = [sys.executable, "-m", "training.cli", "--log", str(log), "--out", str(out), *words]
    chance = random.Random(1)
    for _ in range(3):
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            wait_for_news(out / ".training", process)
            time.sleep(chance.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == undisturbed
    assert not list(out.glob(".staging-*"))


def wait_for_news(work, process):
    """Return once the run under `work` has written a checkpoint, or has ended."""

    def newest():
        return max((path.stat().st_mtime_ns for path in work.glob("*/checkpoint.npz")), default=0)

    before = newest()
    while newest() == before and process.poll() is None:
        time.sleep(0.01)


def test_a_damaged_checkpoint_is_named_with_the_remedy(data, config, tmp_path):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(CheckpointError, match="delete the file to start over"):
        trainer_of(data, config, path)


def test_a_run_that_diverges_stops_and_says_where(data, tmp_path):
    config = load_config(assignments=[*TINY, "first.learning_rate=1e30"])
    with pytest.raises(DivergedError, match=r"exposure: the loss is .* lower the learning rate"):
        trainer_of(data, config, tmp_path / "checkpoint.npz").run(StoppingReport(tmp_path))


def test_a_stage_that_changed_its_upstream_gets_no_certificate(data, config, tmp_path):
    trainer = trainer_of(data, config, tmp_path / "checkpoint.npz")
    first = certify(trainer.method.model, data, 0, [])
    assert isinstance(certify(trainer.method.model, data, 0, [first]), StageCertificate)
    bias = trainer.method.model.item.dense[0].biases[0]
    bias.data[0] = torch.nextafter(bias.data[0], torch.tensor(1.0))
    with pytest.raises(CertificateError, match="upstream stage 'exposure'"):
        certify(trainer.method.model, data, 0, [first])


def test_a_category_of_which_nothing_is_learnt_is_said(log, config, tmp_path, caplog):
    rare = config.model_copy(update={"split": config.split.model_copy(update={"min_count": 60})})
    train_and_release(log, tmp_path, rare)
    assert "user_id: nothing occurs 60 times in the training part" in caplog.text
    assert "split.min_count" in caplog.text


def test_events_that_are_set_aside_are_said_with_what_to_do(make_log, config, tmp_path, caplog):
    directory = make_log(3)
    items = pl.read_parquet(directory / "items.parquet")
    items.filter(pl.col("item_id") != "i05").write_parquet(directory / "items.parquet")
    train_and_release(directory, tmp_path / "releases", config)
    (said,) = (each.getMessage() for each in caplog.records if "unknown item" in each.message)
    assert "events.parquet, column 'item_id': " in said
    assert said.endswith("Add the item to items.parquet.")


def test_two_processes_never_work_on_one_run(log, config, tmp_path):
    work = tmp_path / ".training" / run_identity(read_log(log), log_fingerprint(log), config)
    work.mkdir(parents=True)
    with (work / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="another csmf-train"):
            train_and_release(log, tmp_path, config)
